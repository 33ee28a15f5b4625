"""The contract of edits by words: every row of the table, from file to file, on a toy model of pixels and one of latents."""

import csv
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from toy import TOY, write_tiles
from veridical import InputError, edit, train
from veridical.conditions.table import SIZES
from veridical.data.readers.imagefile import read_image
from veridical.editing.edit import Edit, Edited, Given
from veridical.editing.folder import edited
from veridical.editing.settings import Told
from veridical.editing.table import EDITS
from veridical.recipes.table import RECIPES
from veridical.runs.run import load

NAMES = [name for name, row in EDITS.items() if row.task == "words"]
SIZE, HEIGHT, WIDTH = 16, 20, 26
SOURCE, TARGET = "waves of kind a, phase 1.00", "waves of kind b, phase 4.00"
QUICK = {"steps": 2}
# What an edit does nothing without, on a model that has learned nothing.
OWN = {"outpaint": {"right": 4, "top": 3}, "ledits": {"scale": (200.0,), "threshold": (0.3,)}}
COLUMNS = ("image", "prompt", "mask")


@dataclass(frozen=True)
class Toy:
    """A run, three images such as it was trained on, and a mask of each."""

    run: Path
    images: Path
    masks: Path

    def counts(self, name):
        return np.stack([read_image(path) for path in sorted(self.images.glob(f"{name}*.*"))])

    def mask(self):
        return np.asarray(Image.open(self.masks / "a.png")) > 0

    def given(self, row, **more):
        """What a row needs, and of what it offers the mask and the words."""
        known = {"prompt": TARGET, "source_prompt": SOURCE, "negative_prompt": "noise", "mask": self.masks} | more
        return {name: value for name, value in known.items() if name in (*row.needs, *row.offers)}


def toy(folder, recipe, dtype):
    """Train a step on captioned images of a type."""
    data = write_tiles(
        folder / "data", n=12, size=24, conditions=True, dtype="uint16" if dtype == "uint16" else "uint8"
    )
    if dtype == "float32":
        for path in [*data.glob("*/*.png")]:
            tifffile.imwrite(path.with_suffix(".tif"), np.asarray(Image.open(path), np.float32) / 1e5)
            path.unlink()
        said = (data / "captions.jsonl").read_text()
        (data / "captions.jsonl").write_text(said.replace(".png", ".tif"))

    def trained(name, where, **more):
        own = {key: value for key, value in TOY[name].items() if key not in SIZES}
        said = {"text": "auto"} if "text" in RECIPES[name].needs else {}
        return train(
            name, data, folder / where, steps=1, size=SIZE, batch=4, threads=1, quiet=True, **said, **(more | own)
        )

    first = {held: trained(stage.recipe, held, **stage.args) for held, stage in RECIPES[recipe].first.items()}
    run = trained(recipe, "run", **({"first": first} if first else {}))
    rng = np.random.default_rng(1)
    (folder / "images" / "sub").mkdir(parents=True)
    (folder / "masks" / "sub").mkdir(parents=True)
    for k, name in enumerate(("a", "b", "sub/c")):
        image = 100 + 60 * np.sin(np.arange(WIDTH) / (3 + k)) + 10 * rng.standard_normal((HEIGHT, WIDTH))
        if dtype == "float32":
            tifffile.imwrite(folder / "images" / f"{name}.tif", (image / 1e5).astype(np.float32))
        elif dtype == "uint16":
            tifffile.imwrite(folder / "images" / f"{name}.tif", (150 * image).astype(np.uint16))
        else:
            Image.fromarray(image.astype(np.uint8)).save(folder / "images" / f"{name}.png")
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[6:15, 4:17] = 1
        Image.fromarray(mask).save(folder / "masks" / f"{name}.png")
    return Toy(run, folder / "images", folder / "masks")


KINDS = {
    "8 bit": ("text_to_image", "uint8"),
    "16 bit": ("text_to_image", "uint16"),
    "float": ("text_to_image", "float32"),
    "latents": ("stable_diffusion", "uint8"),
}


@pytest.fixture(scope="session")
def toys(tmp_path_factory):
    """Of each kind a run, trained when it is first asked for."""
    made = {}

    def of(kind):
        if kind not in made:
            folder = tmp_path_factory.mktemp(kind.replace(" ", "_"))
            with pytest.MonkeyPatch.context() as patch:  # samples that nobody looks at take longest
                patch.setattr("veridical.training.loop.Watch.look", lambda *_, **__: None)
                made[kind] = toy(folder, *KINDS[kind])
        return made[kind]

    return of


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    """Equal sums whatever a machine has: results are compared to the bit. Toys are too small for more, too."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setattr("veridical.editing.folder.use_threads", lambda: 1)
    yield
    torch.set_num_threads(threads)


def quick(name):
    """Settings of an edit that takes no time."""
    return QUICK | OWN.get(name, {})


def done(call, *args, **keywords):
    """An edit, or a skipped test where it is one for other runs and says so in one sentence."""
    try:
        return call(*args, **keywords)
    except InputError as error:
        said = str(error)
        if "give a run of" not in said:
            raise
        assert "\n" not in said and said.endswith(".")
        pytest.skip(said)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_from_file_to_file(toys, kind, name, tmp_path):
    toy, row, out = toys(kind), EDITS[name], tmp_path / "out"
    done(edit, toy.run, toy.images, out, name, **toy.given(row), settings=quick(name), seed=3, quiet=True)
    record = json.loads((out / "provenance.json").read_text())
    assert record["edit"] == name and record["seed"] == 3 and record["made_up"] == row.synthetic
    assert record["settings"]["steps"] == 2 and len(record["checkpoint"]["sha256"]) == 64
    assert [said["image"] for said in record["images"]] == ["a", "b", "sub/c"]
    moved = 0.0
    for said in record["images"]:
        path = next(toy.images.glob(f"{said['image']}.*"))
        before, after = read_image(path), read_image(out / said["file"])
        marked = read_image(out / "masks" / f"{said['image']}.png") > 0
        shown = read_image(out / "changed" / f"{said['image']}.png") > 0
        assert after.dtype == before.dtype and after.shape == marked.shape == shown.shape and np.isfinite(after).all()
        top, left = said.get("origin", (0, 0))
        same = np.zeros(after.shape, bool)
        same[top : top + HEIGHT, left : left + WIDTH] = after[top : top + HEIGHT, left : left + WIDTH] == before
        assert same[~marked].all() and (shown == ~same).all()
        if "mask" in toy.given(row):
            assert not (marked & ~toy.mask()).any()
        assert said["synthetic"] and said["changed_share"] == pytest.approx((~same).mean())
        assert ("coding_error" in said) == (kind == "latents")
        for what in ("prompt", "source_prompt", "negative_prompt"):
            assert said.get(what) == toy.given(row).get(what)
        moved += said["changed_share"]
    assert moved > 0 and (out / "grid.png").is_file()


@pytest.mark.parametrize("kind", ["8 bit", "latents"])
@pytest.mark.parametrize("name", NAMES)
def test_an_image_does_not_depend_on_the_others(toys, kind, name):
    toy, row = toys(kind), EDITS[name]
    run = load(toy.run, "cpu")
    unit = np.stack([run.window.to_unit(read_image(p)[None]) for p in (toy.images / "a.png", toy.images / "b.png")])

    def given(n):
        known = Given(
            prompt=[(TARGET,)] * n, source_prompt=[SOURCE] * n, mask=np.repeat(toy.mask()[None], n, 0), second=unit[:n]
        )  # fmt: skip
        unused = {
            what: None
            for what in ("prompt", "source_prompt", "mask", "second")
            if what not in (*row.needs, *row.offers)
        }
        return replace(known, **unused)

    both = done(edited, run, unit, name, given=given(2), settings=quick(name), seed=1)
    # the second alone, with another batch of tiles, too
    alone = edited(
        run,
        unit[1:],
        name,
        given=replace(given(1), second=None if given(1).second is None else unit[1:]),
        settings=quick(name) | {"batch": 5},
        seed=1,
        numbers=[1],
    )
    np.testing.assert_allclose(alone.images[0], both.images[1], atol=1e-4)
    other = edited(run, unit, name, given=given(2), settings=quick(name), seed=1)
    np.testing.assert_array_equal(other.images, both.images)


@pytest.mark.parametrize("name", NAMES)
def test_what_was_stopped_goes_on_to_equal_bytes(toys, name, tmp_path, monkeypatch):
    toy, row = toys("16 bit"), EDITS[name]
    call = {**toy.given(row), "settings": quick(name), "batch": 1, "quiet": True}
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    done(edit, toy.run, toy.images, whole, name, **call)
    calls, apply = [], row.apply

    def stopped(*args, **keywords):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return apply(*args, **keywords)

    monkeypatch.setitem(EDITS, name, replace(row, apply=stopped))
    with pytest.raises(KeyboardInterrupt):
        edit(toy.run, toy.images, parts, name, **call)
    assert len(json.loads((parts / "provenance.json").read_text())["images"]) == 1
    first = (parts / "a.tif").stat().st_mtime_ns
    edit(toy.run, toy.images, parts, name, **call)
    assert len(calls) == 4 and (parts / "a.tif").stat().st_mtime_ns == first  # what was there is not made again
    files = sorted(path.relative_to(whole) for path in whole.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(parts) for path in parts.rglob("*") if path.is_file())
    for file in files:
        if file.name != "provenance.json":  # which has seconds
            assert (whole / file).read_bytes() == (parts / file).read_bytes()
    for other in ({"seed": 1}, {"settings": quick(name) | {"batch": 31}}):
        with pytest.raises(InputError, match=r"edited with other (seed|settings): choose"):
            edit(toy.run, toy.images, parts, name, **(call | other))
    if "prompt" in call:
        with pytest.raises(InputError, match="other images, prompts or masks"):
            edit(toy.run, toy.images, parts, name, **(call | {"prompt": SOURCE}))


def refused(said, *args, **keywords):
    """One sentence, and nothing written."""
    with pytest.raises(InputError) as caught:
        edit(*args, **keywords, quiet=True)
    assert said in str(caught.value) and len(str(caught.value).splitlines()) == 1, str(caught.value)
    assert not Path(args[2]).exists()


@pytest.mark.parametrize("name", NAMES)
def test_what_does_not_fit_is_one_sentence(toys, name, tmp_path):
    toy, row, out = toys("8 bit"), EDITS[name], tmp_path / "out"
    start, given = (toy.run, toy.images, out, name), toy.given(row)
    refused("no setting", *start, **given, settings={"speed": 3})
    refused("steps=0 cannot be", *start, **given, settings={"steps": "0"})
    refused("batch=0", *start, **given, batch=0)
    for need in row.needs:
        refused(f"needs a {need.replace('_', ' ')}", *start, **{k: v for k, v in given.items() if k != need})
    for what, value in (("mask", toy.masks), ("second", toy.images), ("prompt", TARGET), ("source_prompt", SOURCE)):
        if what not in (*row.needs, *row.offers):
            refused(f"takes no {what.replace('_', ' ')}", *start, **given, **{what: value})
    masks = {
        "small": (np.ones((HEIGHT, WIDTH - 1), np.uint8), f"has {WIDTH - 1} x {HEIGHT} pixels"),
        "empty": (np.zeros((HEIGHT, WIDTH), np.uint8), "marks no pixel"),
    }
    if "mask" in row.needs:
        masks["full"] = (np.ones((HEIGHT, WIDTH), np.uint8), "marks all pixels")
    for which, (mask, said) in masks.items():
        if "mask" in given:
            Image.fromarray(mask).save(tmp_path / f"{which}.png")
            refused(said, *start, **(given | {"mask": tmp_path / f"{which}.png"}))
    (tmp_path / "colour").mkdir()
    Image.fromarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8) + np.arange(3, dtype=np.uint8)).save(
        tmp_path / "colour" / "a.png"
    )
    refused("is RGB of uint8 but the run was trained on grey", toy.run, tmp_path / "colour", out, name, **given)
    (tmp_path / "tiny").mkdir()
    Image.fromarray(np.eye(SIZE - 1, dtype=np.uint8)).save(tmp_path / "tiny" / "a.png")
    alone = {k: v for k, v in given.items() if k != "mask" or k in row.needs}
    if "mask" in alone:
        Image.fromarray(np.eye(SIZE - 1, dtype=np.uint8)).save(tmp_path / "tiny.png")
        alone["mask"] = tmp_path / "tiny.png"
    refused(f"the model works on tiles of {SIZE}", toy.run, tmp_path / "tiny", out, name, **alone)


@pytest.fixture(scope="module")
def deaf(toys, tmp_path_factory):
    """A run that hears no words, of the images of another."""
    folder = tmp_path_factory.mktemp("deaf")
    return train(
        "edm",
        toys("8 bit").run.parent / "data",
        folder / "run",
        steps=1,
        size=SIZE,
        batch=2,
        threads=1,
        quiet=True,
        **TOY["edm"],
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_model_without_words_is_told_none(toys, deaf, name, tmp_path):
    toy, row = toys("8 bit"), EDITS[name]
    if "prompt" not in (*row.needs, *row.offers):
        pytest.skip("hears no words")
    refused("hears no words", deaf, toy.images, tmp_path / "out", name, **toy.given(row), settings=quick(name))


def test_a_table_says_what_each_image_becomes(toys, tmp_path):
    toy, out = toys("8 bit"), tmp_path / "out"

    def table(*rows, columns=COLUMNS):
        with (tmp_path / "table.csv").open("w", newline="") as file:
            csv.writer(file).writerows([columns, *rows])
        return tmp_path / "table.csv"

    mask = str(toy.masks / "sub" / "c.png")
    rows = table(("sub/c", TARGET, mask), ("a.png", SOURCE, ""))
    edit(toy.run, toy.images, out, "sdedit", table=rows, settings=QUICK, quiet=True)
    images = json.loads((out / "provenance.json").read_text())["images"]
    assert [(said["number"], said["prompt"], "mask" in said) for said in images] == [
        (0, SOURCE, False),
        (2, TARGET, True),
    ]
    one = tmp_path / "one"
    edit(toy.run, toy.images, one, "sdedit", table=table(("sub/c", TARGET, mask)), settings=QUICK, quiet=True)
    alone, both = (np.asarray(Image.open(folder / "sub" / "c.png")).astype(int) for folder in (one, out))
    assert np.abs(alone - both).max() <= 1
    start = (toy.run, toy.images, tmp_path / "new", "sdedit")
    for rows, columns, said in (
        ([("z", TARGET, "")], COLUMNS, "line 2 names 'z', which is none of the images"),
        ([], COLUMNS, "holds no row"),
        ([("a", TARGET)], COLUMNS, "line 2 has not as many fields"),
        ([("a",)], ("picture",), "needs the column image"),
        ([("a", TARGET, mask), ("a", TARGET, "")], COLUMNS, "2 rows but 1 masks"),
    ):
        refused(said, *start, table=table(*rows, columns=columns))
    refused("nowhere.csv", *start, table=tmp_path / "nowhere.csv")
    refused("leave out --prompt", *start, table=table(("a", TARGET, "")), prompt=TARGET)


def test_files_of_one_name_in_two_folders_are_told_apart(toys, tmp_path):
    toy = toys("8 bit")
    for which in ("one", "two"):
        (tmp_path / "images" / which).mkdir(parents=True)
        (tmp_path / "images" / which / "a.png").write_bytes((toy.images / "a.png").read_bytes())
    (tmp_path / "table.csv").write_text("image\na.png\n")
    refused("names 'a.png'", toy.run, tmp_path / "images", tmp_path / "new", "sdedit", table=tmp_path / "table.csv")
    (tmp_path / "table.csv").write_text("image\ntwo/a\n")
    edit(
        toy.run,
        tmp_path / "images",
        tmp_path / "new",
        "sdedit",
        table=tmp_path / "table.csv",
        settings=QUICK,
        quiet=True,
    )
    assert (tmp_path / "new" / "two" / "a.png").is_file() and not (tmp_path / "new" / "one").exists()


@pytest.fixture
def brighter(monkeypatch):
    """A row that adds a tenth everywhere and keeps what it was given."""
    calls = []

    def apply(model, images, given, settings, *, size, seed, numbers, quiet):
        calls.append((images, given, seed, list(numbers)))
        maps = np.full(images.shape[:1] + images.shape[2:], np.nan, np.float32)
        maps[:1] = 0.5
        return Edited(images + np.float32(0.1), maps={"word": maps}, notes=("brighter",))

    row = Edit("brighter", "words", "B.", "P", apply, "all", (), Told, offers=("prompt", "source_prompt", "mask"))
    monkeypatch.setitem(EDITS, "brighter", row)
    return calls


def test_changes_are_made_one_after_another(toys, brighter, tmp_path):
    toy = toys("16 bit")
    window = load(toy.run, "cpu").window
    edit(
        toy.run, toy.images, tmp_path / "out", "brighter", prompt=[SOURCE, TARGET], source_prompt="waves", quiet=True
    )  # fmt: skip
    (first, said, seed, numbers), (second, then, other, _) = brighter
    assert list(said.prompt) == [(SOURCE,)] * 3 and list(then.prompt) == [(TARGET,)] * 3
    # after the first change images show what it asked for
    assert list(said.source_prompt) == ["waves"] * 3 and list(then.source_prompt) == [SOURCE] * 3
    assert (seed, other) == (0, 1) and numbers == [0, 1, 2]
    np.testing.assert_allclose(second, np.minimum(first + 0.1, 1), atol=1e-3)
    before, after = (tifffile.imread(folder / "a.tif").astype(float) for folder in (toy.images, tmp_path / "out"))
    change = (after - before)[(before > window.low) & (before + 0.2 * (window.high - window.low) < window.high)]
    np.testing.assert_allclose(change, 0.2 * (window.high - window.low), atol=2)
    record = json.loads((tmp_path / "out" / "provenance.json").read_text())["images"]
    assert record[0]["notes"] == ["brighter"] and record[0]["prompt"] == [SOURCE, TARGET]
    # a map that an image does not have is not written
    assert [path.name for path in (tmp_path / "out" / "maps").rglob("*.png")] == ["a_word.png"]


def test_what_was_not_measured_stays(toys, brighter, tmp_path):
    toy = toys("float")
    image = tifffile.imread(toy.images / "a.tif")
    image[:4], image[8, 8], image[9, 9] = np.nan, np.inf, np.nan
    tifffile.imwrite(tmp_path / "a.tif", image)
    call = {"settings": QUICK, "quiet": True}
    edit(toy.run, tmp_path / "a.tif", tmp_path / "whole", "brighter", **call)
    edit(toy.run, tmp_path / "a.tif", tmp_path / "part", "brighter", mask=toy.masks / "a.png", **call)
    lost = ~np.isfinite(image)
    for folder in ("whole", "part"):
        after = next(read_image(path) for path in (tmp_path / folder).glob("*.tif"))
        np.testing.assert_array_equal(after[lost], image[lost])
        inside = ~lost & (toy.mask() if folder == "part" else True)
        assert (after[inside] > image[inside]).all() and (after[~inside & ~lost] == image[~inside & ~lost]).all()
    (seen, _, _, _), (_, given, _, _) = brighter
    assert np.isfinite(seen).all() and given.mask[0][lost].all()  # nothing is drawn after what was not measured
    region = next(read_image(path) for path in (tmp_path / "part" / "masks").glob("*.png")) > 0
    assert not region[lost].any() and (region == (toy.mask() & ~lost)).all()


def test_a_folder_of_something_else_stays(toys, brighter, tmp_path):
    toy = toys("8 bit")
    (tmp_path / "mine.txt").touch()
    with pytest.raises(InputError, match="is not empty: choose another --out"):
        edit(toy.run, toy.images, tmp_path, "brighter", quiet=True)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_names_of_what_stands_beside_the_images_are_refused(toys, brighter, tmp_path):
    toy = toys("8 bit")
    images = tmp_path / "images"
    images.mkdir()
    first = next(path for path in sorted(toy.images.rglob("*.png")))
    for name in ("grid", "other"):
        (images / f"{name}.png").write_bytes(first.read_bytes())
    with pytest.raises(
        InputError, match=r"the image grid cannot be edited, as .*grid\.png is of another picture: rename it"
    ):
        edit(toy.run, images, tmp_path / "out", "brighter", quiet=True)
    assert not (tmp_path / "out").exists()
    (images / "grid.png").rename(images / "grids.png")
    edit(toy.run, images, tmp_path / "out", "brighter", quiet=True)


def test_arrays_that_do_not_fit(toys, brighter):
    run = load(toys("8 bit").run, "cpu")
    images = np.full((2, 1, HEIGHT, WIDTH), 0.5, np.float32)
    mask = np.ones((2, HEIGHT, WIDTH), bool)
    mask[:, 3:] = False
    found = edited(run, images, "brighter", given=Given(mask=mask))
    assert (found.images[~mask[:, None]] == 0.5).all() and (found.images[mask[:, None]] > 0.55).all()
    for wrong, given, said in (
        (images[0], None, "images of shape"),
        (images.repeat(3, 1), None, "images of shape"),
        (images * np.nan, None, "images of shape"),
        (images, Given(mask=mask[:1]), "1 of mask for 2 images"),
        (images, Given(mask=mask[:, 1:]), "masks of"),
        (images, Given(prompt=[("a",)]), "1 of prompt for 2 images"),
        (images, Given(second=images), "takes no second"),
    ):
        with pytest.raises(InputError, match=said):
            edited(run, wrong, "brighter", given=given)
