"""The command line: exit codes, one-sentence errors, and every command once."""

import json
import pickle

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from toy import TOY, write_tiles
from veridical import __version__
from veridical.cli.make import _places
from veridical.core.errors import InputError


@pytest.fixture(scope="module")
def tiles(tmp_path_factory):
    return write_tiles(tmp_path_factory.mktemp("data") / "tiles", n=40, size=48)


@pytest.fixture(scope="module")
def trained(tiles, tmp_path_factory):
    from veridical.training.start import train

    return train(
        "vae", tiles, tmp_path_factory.mktemp("run") / "vae", steps=3, size=32, batch=4, quiet=True, **TOY["vae"]
    )


def test_every_command_has_help(run):
    commands = [
        "recipes",
        "data",
        "phantom",
        "caption",
        "find",
        "train",
        "sample",
        "volume",
        "restore",
        "edit",
        "score",
        "audit",
        "utility",
        "bench",
        "report",
        "watch",
    ]
    code, text, _ = run("--help")
    assert code == 0 and all(name in text for name in commands)
    for name in commands:
        code, text, _ = run(name, "--help")
        assert code == 0 and "Usage" in text


def test_volumes_of_spheres_are_written_and_runs_that_draw_none_are_refused(run, trained, tmp_path):
    code, text, _ = run("phantom", "spheres", "--size", 24, "--set", "radius=4", "--out", tmp_path / "spheres")
    assert code == 0 and "24 x 24 x 24" in text and (tmp_path / "spheres" / "spheres_0_mask.tif").is_file()
    code, _, error = run("volume", trained, "--shape", "32", "--out", tmp_path / "v.tif")
    assert code == 2 and "train edm" in error
    code, _, error = run("volume", trained, "--shape", "32x32", "--out", tmp_path / "v.tif")
    assert code == 2 and "is no shape" in error


def test_phantoms_that_cannot_be_written_are_not_drawn(run, tmp_path, monkeypatch):
    monkeypatch.setattr("veridical.phantoms.generate", lambda *_, **__: pytest.fail("drawn"))
    code, _, error = run("phantom", "rocks", "--out", tmp_path / "new", "--bits", 12)
    assert code == 2 and "12 bits" in error
    (tmp_path / "mine.txt").touch()
    code, _, error = run("phantom", "rocks", "--out", tmp_path)
    assert code == 2 and "not an empty folder" in error
    for place in (tmp_path / "mine.txt", tmp_path / "mine.txt" / "new"):
        code, _, error = run("phantom", "rocks", "--out", place)
        assert code == 2 and "mine.txt is no folder" in error


def test_pairs_of_phantoms(run, tmp_path):
    code, text, _ = run(
        "phantom", "roots", "--pairs", "thicker_roots", "-n", 2, "--size", 32, "--out", tmp_path / "new"
    )
    assert code == 0 and "2 roots pairs of thicker_roots" in " ".join(text.split())
    assert len((tmp_path / "new" / "pairs.jsonl").read_text("utf-8").splitlines()) == 2
    code, _, error = run("phantom", "roots", "--pairs", "help", "--out", tmp_path / "other")
    assert code == 2 and "choose from add_laterals" in error and not (tmp_path / "other").exists()


def test_version(run):
    code, text, _ = run("--version")
    assert code == 0 and text.strip() == __version__


def test_training_settings_are_flags(run):
    _, text, _ = run("train", "--help")
    assert all(f"--{name}" in text for name in ("size", "steps", "minutes", "lr", "ema", "seed", "save-every"))


def test_recipes_table(run):
    _, text, _ = run("recipes")
    assert "latent_diffusion" in text
    _, text, _ = run("recipes", "--json")
    assert json.loads(text)["vae"]["settings"]["latent"] == "64"


@pytest.mark.parametrize(
    ("given", "places"),
    [
        ([], None),
        (["runs/ae"], "runs/ae"),
        (["runs/lr=1"], "runs/lr=1"),
        (["left=runs/ae"], {"left": "runs/ae"}),
        (["left=runs/ae", "right=runs/lr=1"], {"left": "runs/ae", "right": "runs/lr=1"}),
    ],
)
def test_first_stages_are_given_alone_or_by_name(given, places):
    assert _places(given) == places


def test_first_stages_are_told_apart():
    with pytest.raises(InputError, match="--first runs/ae has no '=': write --first NAME=RUN"):
        _places(["left=runs/ae", "runs/ae"])


def test_data_says_what_is_there(run, tiles, tmp_path):
    code, text, _ = run(
        "data", tiles, "--size", 32, "--preview", tmp_path / "look.png", "--json", tmp_path / "data.json"
    )
    assert code == 0 and "uint8" in text
    told = json.loads((tmp_path / "data.json").read_text())
    assert told["slices"] == 50 and told["advice"]["size"] in (64, 48)
    assert "sizes: bright parts are" in text and f"veridical train edm {tiles} --size" in text
    assert Image.open(tmp_path / "look.png").size[0] > 500


def test_train_sample_score(run, tmp_path):
    tiles = write_tiles(tmp_path / "tiles", n=28, size=32)
    code, _, error = run(
        "train", "vae", tiles, "--out", tmp_path / "run", "--steps", 2, "--size", 32, "--set", "width=8", "--quiet"
    )
    assert code == 0, error
    code, _, error = run("sample", tmp_path / "run", "-n", 7, "--out", tmp_path / "new", "--seed", 3)
    assert code == 0, error
    record = json.loads((tmp_path / "new" / "provenance.json").read_text())
    assert len(record["images"]) == 7 and record["seed"] == 3 and len(record["checkpoint"]["sha256"]) == 64
    assert all((tmp_path / "new" / row["file"]).is_file() for row in record["images"])
    code, text, error = run(
        "score", tiles / "test", tmp_path / "new", "--train", tiles / "train", "--json", tmp_path / "score.json"
    )
    assert code == 0 and "distance to real (0 real, 1 random texture; kid_over_random_phase)" in text, error
    assert "not measured: ssim, psnr" in text
    rows = {row["metric"]: row for row in json.loads((tmp_path / "score.json").read_text())}
    for name in ("kid_efficientnet_lite0", "fd_efficientnet_lite0"):
        assert rows[name]["value"] is not None and rows[name]["floor"] is not None
    code, _, error = run("train", "vae", tiles, "--out", tmp_path / "run", "--steps", 2)
    assert code == 2 and "--resume" in error


def test_sampling_settings_of_a_trained_run(run, tmp_path):
    toy = [f"--set={k}={v}" for k, v in TOY["stylegan"].items()]
    start = ["train", "stylegan", "phantom:rocks?n=12&size=32", "--size", 32, "--steps", 2, "--quiet"]
    assert run(*start, "--out", tmp_path / "run", *toy)[0] == 0
    draw = ["sample", tmp_path / "run", "-n", 3, "--quiet"]
    for name, given in (("as_trained", ()), ("one_style", ("--set", "truncation=0"))):
        code, _, error = run(*draw, "--out", tmp_path / name, *given)
        assert code == 0, error
    record = json.loads((tmp_path / "one_style" / "provenance.json").read_text())
    assert record["settings"] == {"truncation": 0.0}
    free, drawn_in = (
        np.stack([np.asarray(Image.open(p), float) for p in sorted((tmp_path / name).glob("stylegan*"))])
        for name in ("as_trained", "one_style")
    )
    assert drawn_in.std(0).mean() < 0.1 * free.std(0).mean()
    code, _, error = run(*draw, "--out", tmp_path / "no", "--set", "width=3")
    assert code == 2 and "'width'" in error and "truncation" in error and not (tmp_path / "no").exists()


def test_train_and_sample_with_labels(run, tmp_path):
    data = "phantom:rocks?n=12&size=32"
    toy = [f"--set={k}={v}" for k, v in TOY["cgan"].items() if k != "classes"]
    start = ["train", "cgan", data, "--out", tmp_path / "run", "--steps", 2, "--size", 32, "--quiet", *toy]
    code, _, error = run(*start)
    assert code == 2 and "--label COLUMN" in error
    one_sentence(error)
    code, _, error = run(*start, "--label", "porosity", "--bins", 3)
    assert code == 0, error
    code, _, error = run(
        "sample", tmp_path / "run", "-n", 3, "--out", tmp_path / "new", "--label", "0.1,0.9", "--quiet"
    )
    assert code == 0, error
    classes = json.loads((tmp_path / "run" / "run.json").read_text())["dataset"]["labels"]["classes"]
    rows = json.loads((tmp_path / "new" / "provenance.json").read_text())["images"]
    assert [row["condition"]["porosity"] for row in rows] == [classes[0], classes[2], classes[0]]
    code, _, error = run("sample", tmp_path / "run", "--out", tmp_path / "no", "--masks", tmp_path / "new")
    assert code == 2 and "cgan takes no mask: leave out --masks" in error
    code, _, error = run("sample", tmp_path / "run", "--out", tmp_path / "no", "--label", "glass")
    assert code == 2 and "'glass' is not a number" in error
    one_sentence(error)


def test_a_folder_of_samples_can_be_opened(run, trained, tmp_path):
    run("sample", trained, "-n", 6, "--out", tmp_path / "new", "--quiet")
    code, _, error = run("data", tmp_path / "new", "--size", 16, "--json", tmp_path / "data.json")
    assert code == 0, error
    assert json.loads((tmp_path / "data.json").read_text())["slices"] == 6  # and not grid.png


def test_samples_come_in_the_units_of_the_data(run, tmp_path):
    rng = np.random.default_rng(0)
    tifffile.imwrite(tmp_path / "scan.tif", rng.normal(30000, 2000, (40, 48, 48)).astype(np.uint16))
    run("train", "random_phase", tmp_path / "scan.tif", "--out", tmp_path / "run", "--size", 32, "--quiet")
    run("sample", tmp_path / "run", "-n", 2, "--out", tmp_path / "new", "--quiet")
    made = [tifffile.imread(p) for p in sorted((tmp_path / "new").glob("*.tif"))]
    assert len(made) == 2 and made[0].dtype == np.uint16 and abs(made[0].mean() - 30000) < 1000


def test_unknown_recipe_suggests_the_nearest(run, tiles, tmp_path):
    code, _, error = run("train", "latent_difusion", tiles, "--out", tmp_path / "run")
    assert code == 2 and "'latent_diffusion'" in error and not (tmp_path / "run").exists()


def one_sentence(error):
    lines = error.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("veridical: ") and "Traceback" not in error


@pytest.mark.parametrize(
    "kind", ["missing", "empty", "texts", "truncated", "zero", "fake", "mixed", "constant", "small"]
)
def test_bad_data_is_one_sentence_with_exit_code_two(run, kind, tmp_path):
    folder, noise = tmp_path / "in", np.random.default_rng(0).integers(0, 255, (48, 48), np.uint8)
    if kind != "missing":
        folder.mkdir()
    if kind == "texts":
        (folder / "notes.txt").write_text("no image")
    if kind in ("truncated", "zero", "fake", "mixed"):
        for k in range(12):
            Image.fromarray(noise).save(folder / f"{k:02d}.png")
    if kind == "truncated":
        for path in folder.iterdir():
            path.write_bytes(path.read_bytes()[:400])
    if kind == "zero":
        (folder / "99.png").touch()
    if kind == "fake":
        (folder / "99.png").write_text("not a picture")
    if kind == "mixed":
        Image.fromarray(np.dstack([noise] * 3)).save(folder / "99.png")
    if kind == "constant":
        for k in range(12):
            Image.fromarray(np.full((48, 48), 7, np.uint8)).save(folder / f"{k:02d}.png")
    if kind == "small":
        Image.fromarray(noise[:20, :20]).save(folder / "a.png")
    code, _, error = run("train", "vae", folder, "--out", tmp_path / "run", "--size", 32, "--steps", 1, "--quiet")
    assert code == 2
    one_sentence(error)
    assert str(folder) in error
    assert not (tmp_path / "run").exists()


def test_a_full_disk_is_one_sentence(run, trained, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device", "new/a.png")

    monkeypatch.setattr("veridical.runs.samples.write_counts", full)
    code, _, error = run("sample", trained, "-n", 1, "--out", tmp_path / "new", "--quiet")
    assert code == 2 and "new/a.png" in error and "No space left" in error
    one_sentence(error)


@pytest.mark.parametrize("option", [("--batch", 0), ("--seed", -1), ("-n", 0)])
def test_samples_that_cannot_be(run, trained, option, tmp_path):
    code, _, error = run("sample", trained, "--out", tmp_path / "new", *option)
    assert code == 2 and option[0].strip("-") in error
    one_sentence(error)


def test_samples_that_are_no_numbers_are_not_written(run, trained, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "veridical.models.vae.vae.VAE.sample", lambda self, n, *_: torch.full((n, 1, 32, 32), torch.nan)
    )
    code, _, error = run("sample", trained, "-n", 1, "--out", tmp_path / "new", "--quiet")
    assert code == 2 and "no numbers" in error and str(trained) in error
    one_sentence(error)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("recipe", "given", "said"),
    [
        ("edm", "dropout=1", "dropout=1.0 cannot be: give a number from 0 on, below 1."),
        ("edm", "given=1", "given, level and embedding are of what no data bring: leave them out."),
        ("edm", "solver=hein", "solver=hein is not known: use one of euler, "),
        ("edm", "guidance_interval=5,1", "guidance_interval=(5.0, 1.0) needs two rising noise levels"),
        ("upsampler", "condition_noise=0.5", "condition_noise=0.5 must lie between 0 and augmentation=0.3."),
        ("guided", "classifier_widths=0", "classifier_widths=(0,) cannot be: give whole numbers from 1 on."),
        ("consistency", "path=noise", "path=noise is not known: use one of teacher, data."),
    ],
)
def test_values_that_settings_cannot_have_are_a_sentence(run, tiles, tmp_path, recipe, given, said):
    code, _, error = run(
        "train", recipe, tiles, "--out", tmp_path / "run", "--size", 32, "--set", given, "--steps", 1, "--quiet"
    )
    assert code == 2 and said in " ".join(error.split()), error
    one_sentence(error)


def test_a_setting_is_given_once(run, trained, tmp_path):
    code, _, error = run("sample", trained, "--out", tmp_path / "new", "--set", "seed=1", "--set", "seed=2")
    assert code == 2 and "--set seed is given twice" in error
    one_sentence(error)
    start = ("train", "vae", "nowhere", "--out", tmp_path / "run")
    code, _, error = run(*start, "--save-every", 2, "--set", "save_every=3")
    assert code == 2 and "--set save_every says again what --save-every says: leave one out" in error
    one_sentence(error)


def test_debug_shows_the_traceback(run, tmp_path):
    with pytest.raises(ValueError, match="nowhere"):
        run("--debug", "data", tmp_path / "nowhere")


def test_an_output_folder_that_holds_something_is_left_alone(run, trained, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    code, _, error = run("sample", trained, "--out", tmp_path)
    assert code == 2 and "not empty" in error
    one_sentence(error)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


class Evil:
    def __reduce__(self):
        return print, ("code was run",)


@pytest.mark.parametrize("name", ["model.pt", "model.safetensors"])
def test_a_pickle_is_refused_and_not_run(run, trained, name, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "run.json").write_text((trained / "run.json").read_text())
    (folder / name).write_bytes(pickle.dumps(Evil()))
    code, out, error = run("sample", folder, "--out", tmp_path / "new")
    assert code == 2 and "pickle" in error and "code was run" not in out
    one_sentence(error)
    assert not (tmp_path / "new").exists()


def test_a_run_of_another_version_is_refused(run, trained, tmp_path):
    record = json.loads((trained / "run.json").read_text()) | {"format": 99, "version": "7.0"}
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text(json.dumps(record))
    code, _, error = run("sample", tmp_path / "run", "--out", tmp_path / "new")
    assert code == 2 and "veridical 7.0" in error
    one_sentence(error)


def test_damaged_weights_are_named(run, trained, tmp_path):
    (tmp_path / "run").mkdir()
    for path in trained.glob("*.*"):
        (tmp_path / "run" / path.name).write_bytes(
            path.read_bytes()[:2000] if path.suffix == ".safetensors" else path.read_bytes()
        )
    code, _, error = run("sample", tmp_path / "run", "--out", tmp_path / "new")
    assert code == 2 and "model.safetensors is damaged" in error
    one_sentence(error)


def test_the_few_label_curve_is_written_and_drawn(run, tmp_path, monkeypatch):
    from veridical.scoring import few

    monkeypatch.setattr(few, "one_network", lambda data, k, test, *rest: np.ones((2, len(test[0]), data.classes)))
    data = write_tiles(tmp_path / "data", n=12, size=32, conditions=True)
    args = ("utility", str(data), "--size", "32", "--quiet")
    code, out, _ = run(
        *args, str(data / "train"), "--few", "2,4", "--figure", tmp_path / "f.png", "--json", tmp_path / "f.json"
    )
    assert code == 0 and "real alone" in out and (tmp_path / "f.png").stat().st_size > 1000
    rows = json.loads((tmp_path / "f.json").read_text())
    assert {row["settings"]["labels"] for row in rows} == {2, 4} and rows[0]["settings"]["seeds"] == 5
    for wrong, why in (((), "needs SYNTH"), (("--few", "2"), "no synthetic set"), (("--few", "x", "a"), "--few x")):
        code, _, error = run(*args, *wrong)
        assert code == 2 and why in error
