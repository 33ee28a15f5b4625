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

const PARTS = { reviews: "Expert review" };
let found = null;

async function look() {
  found = await asked("/api/found");
  const form = $("review-form");
  form.review.replaceChildren(...options(found.reviews));
  form.querySelector("button").disabled = !found.reviews.length;
  $("reals").replaceChildren(...options([...found.runs.map((run) => run.name), ...found.images]));
  $("synths").replaceChildren(...options(found.images));
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
  open(before?.answer === "synthetic");
  show("review");
  const scale = scaleOf(session.width);
  $("tile").width = session.width * scale;
  $("tile").height = session.height * scale;
  $("tile-scale").textContent = `${session.width} × ${session.height} pixels, each drawn ${scale} × ${scale}, not interpolated; same grey levels for all tiles.`;
  try {
    await pictureInto($("tile"), "/api/reviews/tile", { ...session.who, position });
  } finally {
    wait(false);
  }
  session.since = performance.now();
}

function open(why) {
  $("why").hidden = !why;
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
        const cell = element(k ? "td" : "th", { textContent: text, className: k < 2 || k > 4 ? "text" : "" });
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
$("is-synthetic").addEventListener("click", () => { open(true); $("next").focus(); });
$("next").addEventListener("click", () => attempt(() => answer("synthetic")));
$("back").addEventListener("click", () => attempt(() => step(session.position - 1)));

document.addEventListener("keydown", (event) => {
  const reviewing = !document.querySelector('[data-view="review"]').hidden;
  if (!reviewing || event.ctrlKey || event.metaKey || event.altKey || event.repeat || busy) return;
  const key = event.key.toLowerCase();
  const why = !$("why").hidden;
  const reason = key.length === 1 ? KEYS.indexOf(key) : -1;
  if (key === "r") attempt(() => answer("real"));
  else if (key === "s") open(true);
  else if (key === "enter" && why && event.target.tagName !== "BUTTON") attempt(() => answer("synthetic"));
  else if (key === "backspace" && session.position > 0) attempt(() => step(session.position - 1));
  else if (why && reason >= 0 && reason < session.choices.length) {
    const box = $("reasons").querySelectorAll("input")[reason];
    box.checked = !box.checked;
  } else return;
  event.preventDefault();
});

attempt(async () => {
  await look();
  show("reviews");
});
