"use strict";
// Puts what is new into the page in place, so that nobody who reads it is thrown to its beginning.
const renew = async () => {
  try {
    const answer = await fetch(location.href);
    if (!answer.ok) return; // a run that is being moved, perhaps
    const now = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.title = now.title;
    for (const name of ["header", "main", "footer"]) {
      const [old, fresh] = [document, now].map((page) => page.querySelector(`body > ${name}`));
      if (old.innerHTML !== fresh.innerHTML) old.replaceWith(document.adoptNode(fresh));
    }
    if (!now.body.dataset.every) clearInterval(timer); // the training is over
  } catch {
    // the page is served no more; it may be again
  }
};
const timer = setInterval(renew, 1000 * Number(document.body.dataset.every));
