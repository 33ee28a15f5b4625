"use strict";
// Start, watch, stop and resume trainings.

import { $, asked, attempt, element, folder, look, offer, pause, pictureInto, show, submitted, tell, whenLooked } from "./core.js";
import { begun, follows, owned, stem, suggest } from "./work.js";

const form = $("train-form");
const chosen = $("watch-run");
owned(form.name);
let watched = null; // run that is shown

whenLooked(() => {
  offer(chosen, folder.runs.map((run) => run.name), folder.runs.length ? "choose" : "there is none yet");
  if (!form.recipe.options.length && folder.recipes) {
    const families = [...new Set(folder.recipes.map((row) => row.family))];
    form.recipe.replaceChildren(
      ...families.map((family) => {
        const rows = folder.recipes.filter((row) => row.family === family);
        const listed = rows.map((row) => element("option", { value: row.name, textContent: row.name }));
        return element("optgroup", { label: family }, ...listed);
      }),
    );
    form.recipe.value = "edm";
    needs();
  }
  $("train-new").open ||= !folder.runs.length;
  const working = (folder.work || []).find((job) => job.kind === "train" && job.state === "running");
  const held = folder.runs.find((run) => run.at_work);
  if (watched === null && (working || held)) watch(working ? working.about : held.name);
});

function needs() {
  const row = folder.recipes.find((one) => one.name === form.recipe.value);
  $("recipe-said").textContent = row.summary + (row.needs.length ? `. Needs: ${row.needs.join(", ")}.` : ".");
  $("train-label").hidden = !row.needs.includes("label");
  $("train-bins").hidden = !row.needs.includes("label");
  $("train-focus").hidden = row.needs.length > 0;
  $("train-source").hidden = !row.needs.includes("source");
  name();
}

function name() {
  suggest(form.name, folder.runs.map((run) => run.name.replace(/^runs\//, "")), `${form.recipe.value}-${stem(form.data.value)}`);
}

form.recipe.addEventListener("change", needs);
form.data.addEventListener("change", name);

submitted("train-form", async (given) => {
  const body = { ...given };
  for (const key of ["minutes", "size", "scale", "seed", "bins", "focus", "hold_out"]) body[key] = Number(given[key]);
  const { work } = await asked("/api/train/start", body);
  form.name.dataset.own = "";
  $("train-new").open = false;
  const run = (await asked("/api/commands/state", { work })).about;
  watch(run);
  scrollTo(0, 0);
  await begun("train", work);
});

submitted("resume-form", async (given) => {
  const minutes = given.minutes ? Number(given.minutes) : null;
  const { work } = await asked("/api/train/resume", { run: watched, minutes });
  watch(watched);
  await begun("train", work);
});

follows("train", async (job) => {
  await watch(job.about);
  tell(`${job.about} is trained.`);
});

chosen.addEventListener("change", () => watch(chosen.value));

// Shows a run until another is chosen; again and again while it is at work.
async function watch(run) {
  watched = run;
  $("watch").hidden = true;
  if (!run) return;
  for (let wrong = 0; wrong < 3; ) { // a run that is being written may not be whole for a moment
    try {
      const about = await asked("/api/watch", { run });
      if (watched !== run) return;
      await paint(run, about);
      if (!about.at_work) return;
      if (![...chosen.options].some((option) => option.value === run)) await look();
      chosen.value = run;
      wrong = 0;
    } catch (error) {
      wrong += 1;
      if (wrong === 3) tell(error.message, true);
    }
    do await pause(2000);
    while (document.hidden || document.querySelector('[data-view="train"]').hidden);
    if (watched !== run) return;
  }
}

const shown = {}; // names of pictures that are shown

async function paint(run, about) {
  chosen.value = run;
  const known = about.percent !== undefined;
  $("watch-name").textContent = run;
  $("watch-about").textContent = known ? `${about.recipe} on ${about.data}. ${about.at_work ? "At work." : about.state}` : "It reads its data.";
  $("watch-elsewhere").hidden = !(about.at_work && about.work === null);
  $("resume-form").hidden = about.at_work;
  $("resume-form").minutes.required = Boolean(about.finished);
  $("watch-seen").hidden = !known;
  $("watch").hidden = false;
  if (!known) return;
  $("watch-next").hidden = about.at_work || !about.next.length;
  $("watch-done").hidden = about.work !== null; // then it is said above
  $("watch-percent").value = about.percent;
  $("watch-share").textContent = `${about.percent} %`;
  $("watch-score").textContent = about.score;
  $("watch-best").textContent = about.best;
  $("watch-facts").replaceChildren(
    ...about.facts.flatMap(([key, value]) => [element("dt", { textContent: key }), element("dd", { textContent: value })]),
  );
  for (const [id, drawing] of [["watch-scores", about.score_plot], ["watch-losses", about.loss_plot]]) {
    $(id).parentElement.hidden = !drawing;
    const parsed = drawing && new DOMParser().parseFromString(drawing, "text/html").querySelector("svg");
    $(id).replaceChildren(...(parsed ? [document.importNode(parsed, true)] : []));
  }
  const names = about.grids.map((grid) => `${run} ${about.name} ${grid.file}`).join();
  if (names !== shown.names) {
    const views = about.grids.map((grid) => [grid, element("img", { alt: grid.alt })]);
    for (const [grid, view] of views) await pictureInto(view, "/api/watch/picture", { run, picture: grid.file });
    $("watch-grids").replaceChildren(
      ...views.map(([grid, view]) => element("figure", {}, view, element("figcaption", {}, element("small", { textContent: grid.said })))),
    );
    shown.names = names;
  }
}

$("watch-sample").addEventListener("click", () => attempt(async () => {
  await look();
  const choice = $("sample-form").run;
  choice.value = watched;
  choice.dispatchEvent(new Event("change"));
  show("samples");
}));
