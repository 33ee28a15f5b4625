"""The commands that the page asks for: data, trainings, samples, audits, reviews; and what came of them."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import Any

from veridical.conditions.reopen import seen_from
from veridical.core.errors import InputError
from veridical.core.files import read_bytes, read_json
from veridical.core.lock import is_held
from veridical.data.readers.runs import is_run
from veridical.recipes import table
from veridical.recipes.table import RECIPES
from veridical.runs.folder import read_run
from veridical.server.watched import Tail, at_work, pictures, seen
from veridical.studio.asked import GoOn, Look, NewAudit, NewReview, NewSamples, NewScore, NewTraining
from veridical.studio.place import AUDITS, REVIEWS, RUNS, SAMPLES, Place
from veridical.studio.work import Work, command

LARGEST_PICTURE = 256 * 2**20  # bytes


class Workshop:
    """What a studio has made, by commands.

    Parameters
    ----------
    place : Place
    device : str
    """

    def __init__(self, place: Place, device: str = "auto") -> None:
        self._place, self._device = place, None if device == "auto" else device
        self._tails: dict[Path, Tail] = {}
        self.work = Work()

    # --- data ----------------------------------------------------------------------------------------------------

    def look(self, asked: Look) -> str:
        """Begin to look at data: what `veridical data` says of them."""
        scratch = tempfile.TemporaryDirectory()
        words = command(
            "data", [self._place.spec(asked.data)], size=asked.size, scale=asked.scale,
            hold_out=asked.hold_out or None, pace=asked.pace,
            preview=Path(scratch.name, "preview.png"), json=Path(scratch.name, "data.json"),
        )  # fmt: skip
        return self.work.start("data", words, asked.data, scratch)

    def state(self, name: str) -> dict[str, Any]:
        """How far a command is, and of a look at data what it found."""
        one = self.work.found(name)
        state = {"work": name, **one.state()}
        if one.kind == "audit" and state["state"] in ("stopped", "failed"):
            with contextlib.suppress(OSError):  # its name is free again
                (self._place.folder / one.about).rmdir()
        if one.scratch is not None:  # nobody is to type the name of a folder that will be gone
            state["command"] = state["command"].split(" --preview ")[0]
            if state["state"] == "done":
                state["found"] = read_json(Path(one.scratch.name, "data.json"), dict[str, Any])
        return state

    def preview(self, name: str) -> bytes:
        """Training tiles (left) and test tiles (right) of data that were looked at, PNG."""
        one = self.work.found(name)
        if one.scratch is None:
            raise InputError(f"command {name} looked at no data: ask for one that did.")
        return read_bytes(Path(one.scratch.name, "preview.png"), LARGEST_PICTURE)

    # --- trainings -----------------------------------------------------------------------------------------------

    def recipes(self) -> list[dict[str, Any]]:
        """Systems that can be trained, and what they need."""
        return [
            {"name": name, "family": row.family, "summary": row.summary, "needs": list(row.needs), "draws": row.draws}
            for name, row in RECIPES.items()
        ]

    def train(self, asked: NewTraining) -> str:
        """Begin a training.

        Raises
        ------
        InputError
            If there is no such recipe, what it needs is not said, or a training is at work in the folder.
        """
        row = table.find(asked.recipe)
        for need in ("label", "source"):
            if need in row.needs and not getattr(asked, need) and not row.own_source:
                raise InputError(f"{asked.recipe} needs a {need}: fill it in.")
        out = self._place.new(RUNS, asked.name)
        words = command(
            "train", [asked.recipe, self._place.spec(asked.data)], out=out, minutes=asked.minutes, size=asked.size,
            scale=asked.scale, hold_out=asked.hold_out or None, seed=asked.seed,
            label=asked.label if "label" in row.needs else None,
            bins=asked.bins or None if "label" in row.needs else None,
            source=self._place.spec(asked.source) if asked.source and "source" in row.needs else None, device=self._device,
            focus=asked.focus if asked.focus > 1 and not row.needs else None,
        )  # fmt: skip
        return self._begin_training(words, out)

    def resume(self, asked: GoOn) -> str:
        """Go on with a training that was stopped, or one that is done and is given more minutes."""
        run = self._place.path(asked.run)
        name = self._place.name(run)
        before = self.work.trained(name)
        if is_run(run):
            info = read_run(run)
            if info.finished and asked.minutes is None:
                raise InputError(f"{run} is done: say how many minutes in all it is to be trained.")
            words = command(
                "train", [info.recipe, seen_from(str(info.dataset["spec"]), run)], out=run, resume=True, minutes=asked.minutes,
                device=self._device,
            )  # fmt: skip
        elif before is not None:  # stopped before it was a run: while its data were read, or in a first stage
            words = [*(word for word in before.words if word != "--resume"), "--resume"]
        else:
            raise InputError(
                f"{run} was stopped in a first stage: give its command again in a terminal, with --resume."
            )
        return self._begin_training(words, run)

    def _begin_training(self, words: list[str], run: Path) -> str:
        for other in self._place.found()["runs"]:
            if other["at_work"]:
                raise InputError(f"{other['name']} is being trained: wait for it, or stop it where it was started.")
        return self.work.start("train", words, self._place.name(run))

    def watch(self, name: str) -> dict[str, Any]:
        """What a run tells of its training, whoever started it."""
        run = self._place.path(name)
        work = self.work.training(self._place.name(run))
        about: dict[str, Any] = {"work": work, "at_work": work is not None or is_held(run)}
        now = at_work(run)
        if not (now / "run.json").is_file() and (work or self.work.trained(self._place.name(run))):
            return about  # it reads its data
        return about | seen(now, self._tails.setdefault(now, Tail(now / "log.jsonl")))

    def picture(self, name: str, which: str) -> bytes:
        """A grid of samples of a training, or real tiles, PNG."""
        files = pictures(at_work(self._place.path(name)))
        if which not in files:
            raise InputError(f"{name} shows no picture {which} now: look at it again.")
        return read_bytes(files[which], LARGEST_PICTURE)

    # --- samples, audits, reviews --------------------------------------------------------------------------------

    def sample(self, asked: NewSamples) -> str:
        """Begin to draw samples."""
        run, out = self._place.path(asked.run), self._place.new(SAMPLES, asked.name)
        read_run(run)
        for flag, text in (("label", asked.label), ("prompt", asked.prompt)):
            if text.lstrip().startswith("@"):  # a file, on the command line
                raise InputError(f"a {flag} from a file is for the terminal: write it out, or use veridical sample.")
        if (asked.width is None) != (asked.height is None):
            raise InputError("give width and height, or neither for images as large as tiles.")
        size = None if asked.width is None else f"{asked.width}x{asked.height}"
        source, masks = (self._place.spec(spec) if spec.strip() else None for spec in (asked.source, asked.masks))
        words = command(
            "sample", [run], n=asked.n, seed=asked.seed, label=asked.label.strip(), prompt=asked.prompt.strip(),
            source=source, masks=masks, size=size, best=asked.best, out=out, device=self._device,
        )  # fmt: skip
        return self.work.start("samples", words, self._place.name(out))

    def grid(self, images: str) -> bytes:
        """The first samples of a folder in one picture, PNG."""
        folder = self._place.path(images)
        if not (folder / "provenance.json").is_file():
            raise InputError(f"{folder} holds no samples that were drawn here: choose another folder.")
        return read_bytes(folder / "grid.png", LARGEST_PICTURE)

    def run_of(self, images: str) -> str | None:
        """A run that learned from the same images, held out alike, as the one that drew these samples; None without one here."""
        place = self._place.path(images) / "provenance.json"
        about = read_json(place, dict[str, Any]) if place.is_file() else {}
        drew, dataset = about.get("checkpoint"), about.get("dataset")
        wanted = dataset.get("fingerprint") if isinstance(dataset, dict) else None
        steps = drew.get("steps") if isinstance(drew, dict) else None
        alike = []
        for run in self._place.found()["runs"]:
            file = self._place.folder / run["name"] / "run.json"
            info = read_json(file, dict[str, Any]) if file.is_file() else {}
            if wanted and isinstance(held := info.get("dataset"), dict) and held.get("fingerprint") == wanted:
                same = info.get("recipe") == about.get("recipe") and info.get("cost", {}).get("steps") == steps
                alike.append((not same, run["name"]))
        return min(alike)[1] if alike else None

    def audit(self, asked: NewAudit) -> str:
        """Begin an audit, with its page."""
        out = self._place.new(AUDITS, asked.name)
        words = command(
            "audit", [self._place.spec(asked.real), self._place.spec(asked.synth)],
            json=out / "audit.json", html=out / "audit.html",
        )  # fmt: skip
        out.mkdir(parents=True)
        try:
            return self.work.start("audit", words, self._place.name(out))
        except InputError:
            with contextlib.suppress(OSError):
                out.rmdir()
            raise

    def score(self, asked: NewScore) -> str:
        """Begin to score: what it prints is all that is kept."""
        words = command("score", [self._place.spec(asked.real), self._place.spec(asked.synth)])
        return self.work.start("score", words, asked.synth)

    def review(self, asked: NewReview) -> str:
        """Begin to make a review."""
        out = self._place.new(REVIEWS, asked.name)
        words = command(
            "review", [out], real=self._place.spec(asked.real), synth=self._place.spec(asked.synth), tiles=asked.tiles,
            size=asked.size, seed=asked.seed,
        )  # fmt: skip
        return self.work.start("reviews", words, self._place.name(out))
