"use strict";
// Choose data, and see what they are and what fits them.

import { $, asked, element, pictureInto, show, submitted } from "./core.js";
import { begun, follows } from "./work.js";

const FACTS = {
  kind: "kind", slices: "images", shapes: "height and width", dtype: "stored as", channels: "channels",
  stored_pixel_size: "pixel size in micrometres", window: "grey levels shown as 0 to 1", n_train_tiles: "training tiles",
  n_validation_tiles: "validation tiles", n_test_tiles: "held-out tiles",
};

function said(key, value) {
  if (key === "window") return `${Number(value.low.toPrecision(5))} to ${Number(value.high.toPrecision(5))}`;
  if (key === "shapes") return value.map((shape) => shape.join(" × ")).slice(0, 5).join(", ") + (value.length > 5 ? ", …" : "");
  if (key === "dtype") return { uint8: "8 bits", uint16: "16 bits", float32: "32-bit floats", float64: "64-bit floats" }[value] ?? value;
  return String(value);
}

submitted("data-form", async (given) => {
  $("data-found").hidden = true;
  const body = { data: given.data, size: Number(given.size), scale: Number(given.scale), hold_out: Number(given.hold_out), pace: given.pace === "on" };
  await begun("data", (await asked("/api/data/look", body)).work);
});

let advice = null; // {data, size, scale, hold_out}
const heldOut = (tiles) => (tiles.hold_out ? `, ${tiles.hold_out} images held out` : "");
let looked = null; // the same of the tiles that are shown

follows("data", async (job) => {
  const { found } = job;
  $("data-form").data.value = job.about;
  advice = { data: job.about, size: found.advice.size, scale: found.advice.scale, hold_out: found.advice.hold_out || found.hold_out };
  $("data-facts").replaceChildren(
    ...Object.entries(FACTS).filter(([key]) => found[key] !== null && found[key] !== undefined)
      .flatMap(([key, name]) => [element("dt", { textContent: name }), element("dd", { textContent: said(key, found[key]) })]),
  );
  const lines = [...found.advice.said, ...found.advice.pace, ...found.notes.map((note) => `note: ${note}`)];
  $("data-advice").replaceChildren(...lines.map((line) => element("li", { textContent: line })));
  looked = { data: job.about, size: found.size, scale: found.scale, hold_out: found.hold_out };
  for (const [name, value] of Object.entries(looked)) $("data-form")[name].value = value; // also after a reload
  const other = ["size", "scale", "hold_out"].some((name) => looked[name] !== advice[name]);
  $("data-train-looked").hidden = !other;
  $("data-train-looked").textContent = `Train with those below: ${looked.size} pixels at scale ${looked.scale}${heldOut(looked)}`;
  $("data-chosen").textContent = `Suggested: tiles of ${advice.size} pixels at scale ${advice.scale}${heldOut(advice)}.`;
  await pictureInto($("data-preview"), "/api/data/preview", { work: job.work });
  await slices(job.about);
  $("data-found").hidden = false;
});

// The first, the middle and the last image, whole.
async function slices(images) {
  const { names } = await asked("/api/images", { images });
  const few = [...new Set([0, names.length >> 1, names.length - 1])].map((k) => names[k]);
  const views = few.map((name) => [name, element("img", { className: "tiles", alt: `Image ${name}` })]);
  for (const [image, view] of views) await pictureInto(view, "/api/image", { images, image });
  $("data-slices").replaceChildren(
    ...views.map(([name, view]) => element("figure", {}, view, element("figcaption", { textContent: name }))),
  );
}

function trainWith(tiles) {
  const form = $("train-form");
  for (const name of ["data", "size", "scale", "hold_out"]) form[name].value = tiles[name];
  form.data.dispatchEvent(new Event("change"));
  $("train-new").open = true;
  show("train");
  $("train-new").scrollIntoView();
}

$("data-train").addEventListener("click", () => trainWith(advice));
$("data-train-looked").addEventListener("click", () => trainWith(looked));
