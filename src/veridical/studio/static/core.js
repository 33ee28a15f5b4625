"use strict";
// What all parts of the page share. It holds no data of its own: all comes by `ask`, pictures as blobs without names.

export const $ = (id) => document.getElementById(id);
export const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
let token = sessionStorage.getItem("token") || "";

export function tell(text, bad = false) {
  $("said").textContent = text;
  $("said").className = bad ? "bad" : "";
}

export async function send(path, options) {
  const headers = { ...options.headers, ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  let answer;
  try {
    answer = await fetch(path, { method: "POST", ...options, headers });
  } catch {
    throw new Error("The studio does not answer: see in its terminal whether it runs, then load this page again.");
  }
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

export const ask = (path, body = {}) =>
  send(path, { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } });
export const asked = async (path, body) => (await ask(path, body)).json();

// Do something that may be refused, and say so.
export async function attempt(work) {
  try {
    tell("");
    await work();
  } catch (error) {
    tell(error.message, true);
  }
}

export function show(view) {
  for (const section of document.querySelectorAll("[data-view]")) section.hidden = section.dataset.view !== view;
  for (const button of $("parts").children) {
    if (button.dataset.part === view) button.setAttribute("aria-current", "page");
    else button.removeAttribute("aria-current");
  }
  if (view in PARTS && location.hash !== `#${view}`) { // where a page that is loaded again goes on, and the browser's Back goes
    const keep = location.hash ? "pushState" : "replaceState";
    history[keep](null, "", `#${view}`);
  }
  $("main").focus({ preventScroll: true });
  scrollTo(0, 0);
}

export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

export const values = (form) => Object.fromEntries(new FormData(form));
export const options = (names) => names.map((name) => element("option", { value: name, textContent: name }));

// Fill a select, and leave what is chosen.
export function offer(select, names, first) {
  const before = select.value;
  select.replaceChildren(...(first ? [element("option", { value: "", textContent: first })] : []), ...options(names));
  if (names.includes(before)) select.value = before;
}

export function submitted(id, work) {
  $(id).addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(() => work(values($(id)), $(id)));
  });
}

// How many times as large a picture is drawn: whole times, never interpolated.
export function scaleOf(width, most = 3) {
  return Math.max(1, Math.min(most, Math.floor($("main").clientWidth / width)));
}

export async function pictureInto(image, path, body) {
  const blob = await (await ask(path, body)).blob();
  const before = image.src;
  image.src = URL.createObjectURL(blob);
  await image.decode();
  if (before.startsWith("blob:")) URL.revokeObjectURL(before);
}

// --- the folder -----------------------------------------------------------------------------------------------------

export const PARTS = {
  data: "Data", train: "Training", samples: "Samples", audit: "Audit", compare: "Compare", reviews: "Expert review",
  edit: "Edit with a mask",
};
export const folder = {}; // what was found in it
const told = []; // who wants to know when it was looked at

export const whenLooked = (work) => told.push(work);

export async function look() {
  Object.assign(folder, await asked("/api/found"));
  const runs = folder.runs.map((run) => run.name);
  $("reals").replaceChildren(...options([...runs, ...folder.images]));
  $("synths").replaceChildren(...options([...folder.samples, ...folder.images.filter((name) => !folder.samples.includes(name))]));
  $("sets").replaceChildren(...options(folder.images));
  const names = folder.review_alone ? ["reviews"] : Object.keys(PARTS);
  if ($("parts").children.length !== names.length) {
    $("parts").replaceChildren(
      ...names.map((name) => {
        const button = element("button", { type: "button", textContent: PARTS[name] });
        button.dataset.part = name;
        button.addEventListener("click", () => attempt(() => look().then(() => show(name))));
        return button;
      }),
    );
  }
  $("parts").hidden = names.length < 2;
  for (const work of told) work();
}

const first = () => {
  const asked = location.hash.slice(1);
  return folder.review_alone ? "reviews" : asked in PARTS ? asked : "data";
};

addEventListener("popstate", () => {
  if ($("parts").children.length) attempt(() => look().then(() => show(first()))); // not before a token is given
});

export async function start() {
  await look();
  show(first());
}

submitted("token-form", async (given) => {
  token = given.token;
  await start();
  sessionStorage.setItem("token", token);
});
