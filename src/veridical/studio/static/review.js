"use strict";
// Expert review: tiles one at a time, answered by keys.

import { $, ask, asked, attempt, element, folder, offer, pictureInto, scaleOf, show, submitted, tell, whenLooked } from "./core.js";
import { begun, follows, owned, stem, suggest } from "./work.js";

const KEYS = "123456789abcdefghijklmnopq"; // of reasons; r and s are answers

let session = null; // {who, count, answers, choices, width, height, position, since}
let busy = false; // an answer is on its way, or a tile

function wait(on) {
  busy = on;
  document.querySelector('[data-view="review"]').setAttribute("aria-busy", String(on));
}

// Images of which a review may be made: those that were audited last.
export function proposed({ real, synth }) {
  const form = $("make-form");
  form.real.value = real;
  form.synth.value = synth;
  suggest(form.name, folder.reviews.map((name) => name.replace(/^reviews\//, "")), stem(synth));
  $("review-new").open = true;
}

owned($("make-form").name);
submitted("make-form", async (given) => {
  const body = { ...given, tiles: Number(given.tiles), seed: Number(given.seed), size: given.size ? Number(given.size) : null };
  await begun("reviews", (await asked("/api/reviews/make", body)).work);
});

follows("reviews", (job) => {
  $("review-new").open = false;
  $("review-form").review.value = job.about;
  $("review-form").reviewer.focus();
  tell(`${job.about} is made: give your name and begin.`);
});

whenLooked(() => {
  const form = $("review-form");
  offer(form.review, folder.reviews);
  form.querySelector("button").disabled = !folder.reviews.length;
  $("review-new").hidden = folder.review_alone;
  $("review-new").open ||= !folder.reviews.length;
});

submitted("review-form", async ({ review, reviewer }) => {
  const who = { review, reviewer: reviewer.trim() };
  const now = await asked("/api/reviews/begin", who);
  session = { ...now, who };
  $("reasons").replaceChildren(
    ...now.choices.map(({ name, title }, k) => {
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
  $("review-command").textContent = `veridical review ${session.who.review} --audit audits/NAME/audit.json`;
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

