"use strict";
// Commands that the studio runs, as they are shown: how far, stop, the same in a terminal.

import { $, ask, asked, attempt, element, folder, look, pause, tell, whenLooked } from "./core.js";

const panels = {}; // by kind: {work, box, line, bar, stop, command}

function panelOf(kind) {
  if (panels[kind]) return panels[kind];
  const line = element("p", {});
  const bar = element("progress", { max: 1 });
  bar.setAttribute("aria-label", "How much is done");
  const stop = element("button", { type: "button", className: "quiet", textContent: "Stop" });
  const command = element("code", {});
  const facts = element("dl", { className: "facts" }, element("dt", { textContent: "The same in a terminal" }), element("dd", {}, command));
  const box = document.querySelector(`[data-work="${kind}"]`);
  box.append(line, bar, element("p", { className: "buttons" }, stop), facts);
  stop.addEventListener("click", () => attempt(() => ask("/api/commands/stop", { work: panels[kind].work })));
  panels[kind] = { box, line, bar, stop, command, work: null };
  return panels[kind];
}

const ENDED = { done: "Done", stopped: "Stopped", failed: "It failed" };

export const clock = (seconds) => {
  const whole = Math.round(seconds);
  const two = (value) => String(value).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  return `${hours ? `${hours}:` : ""}${hours ? two(Math.floor(whole / 60) % 60) : Math.floor(whole / 60)}:${two(whole % 60)}`;
};

function paint(kind, job) {
  const { box, line, bar, stop, command } = panelOf(kind);
  const running = job.state === "running";
  const about = running ? (job.stopping ? "It is asked to stop, and saves" : job.said) : job.error;
  line.textContent = `${running ? "At work" : ENDED[job.state]}, ${clock(job.seconds)}${about ? `. ${about}` : ""}`;
  line.className = job.state === "failed" ? "failed" : "";
  bar.hidden = !running;
  if (job.share === null) bar.removeAttribute("value");
  else bar.value = job.share;
  stop.hidden = !running;
  stop.textContent = job.stopping ? "Stop now" : "Stop";
  command.textContent = job.command;
  box.hidden = false;
}

// Show a command until it is over; `then` is called with what it was at the end, if it is done.
export async function follow(kind, work, then) {
  const panel = panelOf(kind);
  panel.work = work;
  for (;;) {
    const job = await asked("/api/commands/state", { work });
    if (panel.work !== work) return;
    paint(kind, job);
    if (job.state !== "running") {
      await look();
      if (job.state === "done") await then?.(job);
      else if (job.state === "failed") throw new Error(job.error);
      else tell("Stopped.");
      return;
    }
    await pause(document.hidden ? 3000 : 700);
  }
}

const kinds = {};

// What to do with commands of a kind: also with those that run when the page is loaded.
export function follows(kind, then) {
  kinds[kind] = then;
}

export const begun = (kind, work) => follow(kind, work, kinds[kind]);

whenLooked(() => {
  for (const job of [...(folder.work || [])].reverse()) { // the latest of each kind; only its words are left of some
    const kept = job.state === "done" && ["data", "score"].includes(job.kind);
    if (kinds[job.kind] && panelOf(job.kind).work === null && (job.state === "running" || kept))
      attempt(() => begun(job.kind, job.work));
  }
});

// A name for something new that is not taken, as long as the user has given none.
export function suggest(input, taken, wish) {
  if (input.dataset.own) return;
  const clean = wish.replace(/[^A-Za-z0-9.-]+/g, "-").replace(/^[-.]+|[-.]+$/g, "");
  let name = clean;
  for (let k = 2; clean && taken.includes(name); k++) name = `${clean}-${k}`;
  input.value = name;
}

export const stem = (name) => name.replace(/\?.*$/, "").split(/[/:]/).filter(Boolean).pop()?.replace(/\.[a-z0-9]+$/i, "") ?? "";

export function owned(input) {
  input.addEventListener("input", () => {
    input.dataset.own = input.value ? "yes" : "";
  });
}
