"use strict";
// The page of the studio. It holds no data of its own: all comes by `ask`, tiles as blobs without names.

const $ = (id) => document.getElementById(id);
const KEYS = "123456789abcdefghijklmnopq"; // of reasons; r and s are answers
let token = sessionStorage.getItem("token") || "";

function tell(text, bad = false) {
  $("said").textContent = text;
  $("said").className = bad ? "bad" : "";
}

async function send(path, options) {
  const headers = { ...options.headers, ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  const answer = await fetch(path, { method: "POST", ...options, headers });
  if (answer.ok) return answer;
  let said = `${answer.status} ${answer.statusText}`;
  try {
    said = (await answer.json()).error.message;
  } catch {
    // no sentence of ours
  }
  if (answer.status === 401) show("token");
  throw new Error(said);
}

const ask = (path, body = {}) =>
  send(path, { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } });
const asked = async (path, body) => (await ask(path, body)).json();

// Do something that may be refused, and say so.
async function attempt(work) {
  try {
    tell("");
    await work();
  } catch (error) {
    tell(error.message, true);
  }
}

function show(view) {
  for (const section of document.querySelectorAll("[data-view]")) section.hidden = section.dataset.view !== view;
  for (const button of $("parts").children) {
    if (button.dataset.part === view) button.setAttribute("aria-current", "page");
    else button.removeAttribute("aria-current");
  }
  $("main").focus({ preventScroll: true });
  scrollTo(0, 0);
}

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

const values = (form) => Object.fromEntries(new FormData(form));
const options = (names) => names.map((name) => element("option", { value: name, textContent: name }));

function submitted(id, work) {
  $(id).addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(() => work(values($(id)), $(id)));
  });
}

// How many times as large a picture is drawn: whole times, never interpolated.
function scaleOf(width, most = 3) {
  return Math.max(1, Math.min(most, Math.floor($("main").clientWidth / width)));
}

async function pictureInto(image, path, body) {
  const blob = await (await ask(path, body)).blob();
  const before = image.src;
  image.src = URL.createObjectURL(blob);
  await image.decode();
  if (before.startsWith("blob:")) URL.revokeObjectURL(before);
}

// --- the folder -----------------------------------------------------------------------------------------------------

const PARTS = { reviews: "Expert review", edit: "Edit with a mask" };
let found = null;

async function look() {
  found = await asked("/api/found");
  const form = $("review-form");
  form.review.replaceChildren(...options(found.reviews));
  form.querySelector("button").disabled = !found.reviews.length;
  $("reals").replaceChildren(...options([...found.runs.map((run) => run.name), ...found.images]));
  $("synths").replaceChildren(...options(found.images));
  const runs = $("edit-form").run;
  const chosen = runs.value;
  runs.replaceChildren(element("option", { value: "", textContent: "choose" }), ...options(found.runs.map((run) => run.name)));
  runs.value = chosen;
  $("review-new").hidden = found.review_alone;
  $("review-new").open = !found.reviews.length;
  const names = found.review_alone ? ["reviews"] : Object.keys(PARTS);
  $("parts").replaceChildren(
    ...names.map((name) => {
      const button = element("button", { type: "button", textContent: PARTS[name] });
      button.dataset.part = name;
      button.addEventListener("click", () => attempt(() => look().then(() => show(name))));
      return button;
    }),
  );
  $("parts").hidden = names.length < 2;
}

submitted("token-form", async (given) => {
  token = given.token;
  await look();
  sessionStorage.setItem("token", token);
  show("reviews");
});

// --- expert review --------------------------------------------------------------------------------------------------

let session = null; // {who, count, answers, choices, width, height, position, since}
let busy = false; // an answer is on its way, or a tile

function wait(on) {
  busy = on;
  document.querySelector('[data-view="review"]').setAttribute("aria-busy", String(on));
}

submitted("make-form", async (given, form) => {
  tell("The tiles are being cut …");
  const body = { ...given, tiles: Number(given.tiles), seed: Number(given.seed), size: given.size ? Number(given.size) : null };
  const { review } = await asked("/api/reviews/make", body);
  await look();
  form.closest("details").open = false;
  $("review-form").review.value = review;
  $("review-form").reviewer.focus();
  tell(`${review} is made: give your name and begin.`);
});

submitted("review-form", async ({ review, reviewer }) => {
  const who = { review, reviewer: reviewer.trim() };
  const begun = await asked("/api/reviews/begin", who);
  session = { ...begun, who };
  $("reasons").replaceChildren(
    ...begun.choices.map(({ name, title }, k) => {
      const box = element("input", { type: "checkbox", value: name });
      return element("label", {}, box, element("kbd", { textContent: KEYS[k].toUpperCase() }), title);
    }),
  );
  await step(firstOpen());
});

function firstOpen() {
  for (let k = 0; k < session.count; k++) if (!(k in session.answers)) return k;
  return session.count;
}

async function step(position) {
  if (position >= session.count) {
    await results();
    return;
  }
  wait(true);
  session.position = position;
  const done = Object.keys(session.answers).length;
  $("tile-title").textContent = `Tile ${position + 1} of ${session.count}`;
  $("tile-progress").max = session.count;
  $("tile-progress").value = done;
  $("back").disabled = position === 0;
  const before = session.answers[position];
  for (const box of $("reasons").querySelectorAll("input")) box.checked = Boolean(before?.reasons.includes(box.value));
  $("is-real").setAttribute("aria-pressed", String(before?.answer === "real"));
  $("is-synthetic").setAttribute("aria-pressed", String(before?.answer === "synthetic"));
  reasoned(before?.answer === "synthetic");
  show("review");
  const scale = scaleOf(session.width);
  $("tile").width = session.width * scale;
  $("tile").height = session.height * scale;
  $("tile-scale").textContent = `${session.width} × ${session.height} pixels, each drawn ${scale} × ${scale}, not interpolated; all tiles in one window of grey levels.`;
  try {
    await pictureInto($("tile"), "/api/reviews/tile", { ...session.who, position });
  } finally {
    wait(false);
  }
  session.since = performance.now();
}

function reasoned(why) {
  $("why").hidden = !why;
  if (why) {
    $("is-synthetic").setAttribute("aria-pressed", "true");
    $("is-real").setAttribute("aria-pressed", "false");
  }
  $("is-synthetic").setAttribute("aria-expanded", String(why));
}

async function answer(said) {
  if (busy) return; // a key that is held down answers one tile
  wait(true);
  try {
    const reasons = said === "synthetic" ? [...$("reasons").querySelectorAll("input:checked")].map((box) => box.value) : [];
    const position = session.position;
    const seconds = Math.min((performance.now() - session.since) / 1000, 1e6);
    await ask("/api/reviews/answer", { ...session.who, position, answer: said, reasons, seconds });
    session.answers[position] = { answer: said, reasons };
    const next = position + 1;
    await step(next in session.answers || next >= session.count ? firstOpen() : next);
  } finally {
    wait(false);
  }
}

async function results() {
  const { rows, sentence } = await asked("/api/reviews/results", session.who);
  $("verdict").textContent = sentence;
  const heads = [...$("rows").querySelectorAll("thead th")].map((head) => head.textContent);
  $("rows").tBodies[0].replaceChildren(
    ...rows.map((row) =>
      element("tr", {}, ...row.map((text, k) => {
        const cell = element(k ? "td" : "th", { textContent: text, className: text ? (k < 2 || k > 4 ? "text" : "") : "blank" });
        if (k) cell.dataset.label = heads[k];
        else cell.scope = "row";
        return cell;
      })),
    ),
  );
  $("review-command").textContent = `veridical review ${session.who.review} --audit audit.json`;
  show("results");
  tell("All tiles are answered. Thank you.");
}

$("is-real").addEventListener("click", () => attempt(() => answer("real")));
$("is-synthetic").addEventListener("click", () => { reasoned(true); $("next").focus(); });
$("next").addEventListener("click", () => attempt(() => answer("synthetic")));
$("back").addEventListener("click", () => attempt(() => step(session.position - 1)));

document.addEventListener("keydown", (event) => {
  const reviewing = !document.querySelector('[data-view="review"]').hidden;
  if (!reviewing || event.ctrlKey || event.metaKey || event.altKey || event.repeat || busy) return;
  const key = event.key.toLowerCase();
  const why = !$("why").hidden;
  const reason = key.length === 1 ? KEYS.indexOf(key) : -1;
  if (key === "r") attempt(() => answer("real"));
  else if (key === "s") reasoned(true);
  else if (key === "enter" && why && event.target.tagName !== "BUTTON") attempt(() => answer("synthetic"));
  else if (key === "backspace" && session.position > 0) attempt(() => step(session.position - 1));
  else if (why && reason >= 0 && reason < session.choices.length) {
    const box = $("reasons").querySelectorAll("input")[reason];
    box.checked = !box.checked;
  } else return;
  event.preventDefault();
});

// --- edit with a mask -----------------------------------------------------------------------------------------------

const canvas = $("canvas");
const pen = canvas.getContext("2d");
let easel = null; // {name, image, mask (1 where it may change), width, height, x, y}
let erasing = false;

const editForm = $("edit-form");
editForm.run.addEventListener("change", () => attempt(able));
editForm.images.addEventListener("change", () => attempt(listImages));
editForm.image.addEventListener("change", () => attempt(paintOn));
editForm.how.addEventListener("change", told);

let hears = false;

async function able() {
  if (!editForm.run.value) return;
  const { hows, hears: heard } = await asked("/api/run", { run: editForm.run.value });
  hears = heard;
  editForm.how.replaceChildren(...options(hows));
  told();
  if (!hows.length) tell("This run cannot edit: choose one of a diffusion system that is told nothing but words.", true);
  await paintOn();
}

function told() {
  $("prompt-label").hidden = !hears;
  $("strength-label").hidden = editForm.how.value !== "sdedit";
}

async function listImages() {
  $("easel").hidden = true;
  editForm.image.replaceChildren();
  const { names } = await asked("/api/images", { images: editForm.images.value });
  editForm.image.replaceChildren(...options(names));
  await paintOn();
}

async function paintOn() {
  if (!editForm.image.value) return;
  const body = { images: editForm.images.value, image: editForm.image.value, run: editForm.run.value || null };
  const image = await createImageBitmap(await (await ask("/api/image", body)).blob());
  const { width, height } = image;
  const name = `${body.images}/${body.image}`;
  const mask = easel?.name === name ? easel.mask : new Uint8Array(width * height); // another run, the same mask
  easel = { name, image, width, height, mask, x: width >> 1, y: height >> 1 };
  canvas.width = width;
  canvas.height = height;
  $("easel").hidden = false;
  $("edited").hidden = true;
  const room = $("main").clientWidth;
  canvas.style.width = `${width > room ? room : width * scaleOf(width, Math.max(3, Math.floor(448 / width)))}px`;
  draw();
}

function draw(brush = document.activeElement === canvas) {
  const { image, mask, width, height, x, y } = easel;
  pen.drawImage(image, 0, 0);
  const pixels = pen.getImageData(0, 0, width, height);
  let marked = 0;
  for (let k = 0; k < mask.length; k++) {
    if (!mask[k]) continue;
    marked++;
    pixels.data[4 * k] = 128 + pixels.data[4 * k] / 2; // half orange, half what lies under it
    pixels.data[4 * k + 1] = 48 + pixels.data[4 * k + 1] / 2;
    pixels.data[4 * k + 2] = pixels.data[4 * k + 2] / 2;
  }
  pen.putImageData(pixels, 0, 0);
  if (brush) {
    pen.strokeStyle = "#0b5cad";
    pen.beginPath();
    pen.arc(x + 0.5, y + 0.5, Math.max(1, Number($("brush").value) / 2), 0, 7);
    pen.stroke();
  }
  $("marked").textContent = `${((100 * marked) / mask.length).toFixed(1)} % marked`;
  $("run-edit").disabled = !marked;
}

function dab(x, y) {
  const { mask, width, height } = easel;
  const radius = Number($("brush").value) / 2;
  const low = (middle) => Math.max(0, Math.floor(middle - radius));
  for (let j = low(y); j <= Math.min(height - 1, y + radius); j++)
    for (let i = low(x); i <= Math.min(width - 1, x + radius); i++)
      if (Math.hypot(i - x, j - y) < Math.max(radius, 0.6)) mask[j * width + i] = erasing ? 0 : 1;
}

// Dabs from where the brush was: a fast hand leaves no gaps.
function strokeTo(x, y) {
  const steps = Math.max(1, Math.ceil(Math.hypot(x - easel.x, y - easel.y)));
  for (let k = 1; k <= steps; k++) dab(easel.x + ((x - easel.x) * k) / steps, easel.y + ((y - easel.y) * k) / steps);
  [easel.x, easel.y] = [x, y];
  draw();
}

function placeOf(event) {
  const box = canvas.getBoundingClientRect();
  const scale = easel.width / box.width;
  return [Math.floor((event.clientX - box.left) * scale), Math.floor((event.clientY - box.top) * scale)];
}

canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  [easel.x, easel.y] = placeOf(event);
  strokeTo(easel.x, easel.y);
});
canvas.addEventListener("pointermove", (event) => {
  if (event.buttons & 1) strokeTo(...placeOf(event));
});
canvas.addEventListener("focus", () => draw());
canvas.addEventListener("blur", () => draw(false));
canvas.addEventListener("keydown", (event) => {
  const far = event.shiftKey ? 8 : 1;
  const moves = { ArrowLeft: [-far, 0], ArrowRight: [far, 0], ArrowUp: [0, -far], ArrowDown: [0, far] };
  const clamp = (value, most) => Math.max(0, Math.min(most - 1, value));
  if (event.key in moves) {
    const [dx, dy] = moves[event.key];
    easel.x = clamp(easel.x + dx, easel.width);
    easel.y = clamp(easel.y + dy, easel.height);
    draw();
  } else if (event.key === " ") strokeTo(easel.x, easel.y);
  else if (event.key === "[" || event.key === "]") {
    $("brush").value = Number($("brush").value) + (event.key === "]" ? 1 : -1);
    draw();
  } else if (event.key === "p" || event.key === "e") erase(event.key === "e");
  else return;
  event.preventDefault();
});

function erase(on) {
  erasing = on;
  $("paint").setAttribute("aria-pressed", String(!on));
  $("erase").setAttribute("aria-pressed", String(on));
}
$("paint").addEventListener("click", () => erase(false));
$("erase").addEventListener("click", () => erase(true));
$("clear").addEventListener("click", () => {
  easel.mask.fill(0);
  draw();
});

// The mask as the images API has it, at the size of the image: alpha is 0 where it may change.
function maskFile() {
  const { mask, width, height } = easel;
  const pixels = new ImageData(width, height);
  for (let k = 0; k < mask.length; k++) pixels.data[4 * k + 3] = mask[k] ? 0 : 255;
  const sheet = element("canvas", { width, height });
  sheet.getContext("2d").putImageData(pixels, 0, 0);
  return new Promise((done) => sheet.toBlob(done, "image/png"));
}

const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

submitted("edit-form", async (given) => {
  const form = new FormData();
  for (const name of ["run", "images", "image", "how", "seed"]) form.append(name, given[name]);
  if (hears) form.append("prompt", given.prompt);
  if (given.how === "sdedit") form.append("strength", given.strength);
  form.append("mask", await maskFile(), "mask.png");
  $("run-edit").disabled = true;
  try {
    const { edit } = await (await send("/api/edits/make", { body: form })).json();
    let job;
    do {
      await pause(300);
      job = await asked("/api/edits/state", { edit });
      tell(`The edit is ${job.state}: ${job.seconds.toFixed(0)} s`);
    } while (job.state === "running" || job.state === "waiting");
    if (job.state === "failed") throw new Error(job.error);
    for (const image of $("edited").querySelectorAll("img")) {
      image.width = easel.width * scaleOf(easel.width);
      await pictureInto(image, "/api/edits/picture", { edit, which: image.dataset.which });
    }
    const share = (100 * job.said.changed_share).toFixed(1);
    $("edit-notes").textContent = [`${share} % of the pixels changed.`, ...job.said.notes].join(" ");
    $("edit-folder").textContent = job.folder;
    $("edit-command").textContent = job.command;
    $("edited").hidden = false;
    $("edited").scrollIntoView();
    tell(`Edited in ${job.seconds.toFixed(0)} s.`);
  } finally {
    $("run-edit").disabled = false;
  }
});

attempt(async () => {
  await look();
  show("reviews");
});
