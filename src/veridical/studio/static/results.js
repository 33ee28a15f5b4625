"use strict";
// Samples, audits, reports of benches.

import { $, asked, attempt, element, folder, offer, pictureInto, show, submitted, tell, values, whenLooked } from "./core.js";
import { proposed } from "./review.js";
import { begun, follows, owned, stem, suggest } from "./work.js";

const form = $("sample-form");
const audit = $("audit-form");
const drawn = $("sample-drawn");
owned(form.name);
owned(audit.name);

whenLooked(() => {
  const runs = folder.runs.filter((run) => run.draws && run.recipe);
  offer(form.run, runs.map((run) => run.name), "choose");
  offer(drawn, folder.samples, folder.samples.length ? "choose" : "there are none yet");
  offer($("audit-page"), folder.audits, folder.audits.length ? "choose" : "there is none yet");
  offer($("report-page"), folder.reports, folder.reports.length ? "choose" : "there is none yet");
  needs();
});

function needs() {
  const run = folder.runs.find((one) => one.name === form.run.value);
  const has = (name) => Boolean(run?.needs.includes(name));
  $("sample-label").hidden = !has("label");
  $("sample-prompt").hidden = !has("text");
  $("sample-source").hidden = !has("source");
  $("sample-masks").hidden = !has("mask");
  if (run) suggest(form.name, folder.samples.map((name) => name.replace(/^samples\//, "")), `${stem(run.name)}-${form.seed.value || 0}`);
}

form.run.addEventListener("change", needs);
form.seed.addEventListener("change", needs);

submitted("sample-form", async (given) => {
  const number = (text) => (text ? Number(text) : null);
  const body = { ...given, n: Number(given.n), seed: Number(given.seed), best: given.best === "on", width: number(given.width), height: number(given.height) };
  for (const [key, id] of Object.entries({ label: "sample-label", prompt: "sample-prompt", source: "sample-source", masks: "sample-masks" }))
    if ($(id).hidden) body[key] = "";
  $("sample-seen").hidden = true;
  const { work } = await asked("/api/samples/draw", body);
  form.name.dataset.own = "";
  await begun("samples", work);
});

follows("samples", async (job) => {
  await see(job.about);
  tell(`The samples are in ${job.about}.`);
});

drawn.addEventListener("change", () => attempt(() => see(drawn.value)));

async function see(images) {
  $("sample-seen").hidden = true;
  drawn.value = images;
  if (!images) return;
  await pictureInto($("sample-grid"), "/api/samples/grid", { images });
  const { names } = await asked("/api/images", { images });
  $("sample-count").textContent = `${names.length} images in ${images}; the picture shows the first of them.`;
  $("sample-seen").hidden = false;
}

$("sample-audit").addEventListener("click", () => attempt(async () => {
  const { run } = await asked("/api/samples/run", { images: drawn.value });
  audit.synth.value = drawn.value;
  audit.real.value = run ?? "";
  called();
  show("audit");
}));

// --- pages of results: they come in a frame of their own, in which no script runs -------------------------------------

function called() {
  suggest(audit.name, folder.audits.map((name) => name.replace(/^audits\//, "").replace(/\/audit\.html$/, "")), stem(audit.synth.value));
}

audit.synth.addEventListener("change", called);

submitted("audit-form", async (given) => {
  $("audit-next").hidden = true;
  const { work } = await asked("/api/audit/start", given);
  audited = { real: given.real, synth: given.synth };
  audit.name.dataset.own = "";
  await begun("audit", work);
});

$("score").addEventListener("click", () => attempt(async () => {
  if (!audit.real.reportValidity() || !audit.synth.reportValidity()) return;
  $("score-shown").hidden = true;
  const { real, synth } = values(audit);
  await begun("score", (await asked("/api/score/start", { real, synth })).work);
}));

follows("score", (job) => {
  $("score-of").textContent = job.about;
  $("score-said").textContent = job.printed;
  $("score-shown").hidden = false;
  tell(job.printed.split("\n").pop()); // the distance to real
});

$("audit-review").addEventListener("click", () => show("reviews"));

let audited = null; // {real, synth} of the audit that runs

follows("audit", async (job) => {
  $("audit-page").value = `${job.about}/audit.html`;
  await openIn("audit");
  if (audited) proposed(audited);
  $("audit-next").hidden = !audited;
  tell(job.printed.split("\n")[1]); // the sentence that sums it up
});

async function openIn(which) {
  const page = $(`${which}-page`).value;
  $(`${which}-shown`).hidden = true;
  if (!page) return;
  const { address } = await asked("/api/pages/open", { page });
  const frame = element("iframe", { src: address, title: page });
  $(`${which}-frame`).replaceChildren(frame);
  $(`${which}-tab`).href = address;
  $(`${which}-shown`).hidden = false;
}

for (const which of ["audit", "report"]) $(`${which}-page`).addEventListener("change", () => attempt(() => openIn(which)));
