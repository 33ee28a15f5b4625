"use strict";
// Edits with a mask that is painted on the image.

import {
  $, ask, asked, attempt, element, folder, offer, options, pause, pictureInto, scaleOf, send, submitted, tell, whenLooked,
} from "./core.js";

const canvas = $("canvas");
const pen = canvas.getContext("2d", { willReadFrequently: true });
let easel = null; // {name, image, mask (1 where it may change), width, height, x, y}
let erasing = false;

const editForm = $("edit-form");
whenLooked(() => offer(editForm.run, folder.runs.map((run) => run.name), "choose"));
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
  $("marked").textContent = `${percent(marked / mask.length)} marked`;
  $("run-edit").disabled = !marked;
}

// Not 0.0 where there is something.
function percent(share) {
  const shown = 100 * share;
  return `${shown && shown < 0.1 ? Number(shown.toPrecision(1)) : shown.toFixed(1)} %`;
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

const stopEdit = $("stop-edit");

submitted("edit-form", async (given) => {
  const form = new FormData();
  for (const name of ["run", "images", "image", "how", "seed"]) form.append(name, given[name]);
  if (hears) form.append("prompt", given.prompt);
  if (given.how === "sdedit") form.append("strength", given.strength);
  form.append("mask", await maskFile(), "mask.png");
  $("run-edit").disabled = true;
  try {
    const { edit } = await (await send("/api/edits/make", { body: form })).json();
    stopEdit.onclick = () => attempt(() => asked("/api/edits/stop", { edit }));
    stopEdit.hidden = false;
    let job;
    do {
      await pause(300);
      job = await asked("/api/edits/state", { edit });
      const far = job.share ? `, ${percent(job.share)}` : "";
      tell(`The edit is ${job.state}: ${job.seconds.toFixed(0)} s${far}`);
    } while (job.state === "running" || job.state === "waiting");
    if (job.state === "failed") throw new Error(job.error);
    if (job.state === "stopped") return tell("The edit was stopped; nothing of it was kept.");
    for (const image of $("edited").querySelectorAll("img")) {
      await pictureInto(image, "/api/edits/picture", { edit, which: image.dataset.which });
      image.width = image.naturalWidth * scaleOf(image.naturalWidth, Math.max(1, Math.floor(448 / image.naturalWidth)));
    }
    const part = $("edited").querySelector("img");
    const whole = part.naturalWidth === easel.width && part.naturalHeight === easel.height;
    $("edit-notes").textContent = [
      `${percent(job.said.changed_share)} of the pixels changed.`,
      ...(whole ? [] : ["Shown is the part around the mask."]),
      ...job.said.notes.map((note) => `Note: ${note}.`),
    ].join(" ");
    $("edit-folder").textContent = job.folder;
    $("edit-command").textContent = job.command;
    $("edited").hidden = false;
    $("edited").scrollIntoView();
    tell(`Edited in ${job.seconds.toFixed(0)} s.`);
  } finally {
    $("run-edit").disabled = false;
    stopEdit.hidden = true;
  }
});

