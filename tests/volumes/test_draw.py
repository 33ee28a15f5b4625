"""The command: volumes of runs as files, gone on with where they stopped, and who is refused."""

import json

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter

from toy import TOY, UNET, write_tiles, write_volume
from veridical.core.errors import InputError
from veridical.core.parse import parse_shape
from veridical.data.readers.open import open_slices
from veridical.runs.run import load
from veridical.training.start import train
from veridical.volumes import diffused, sections
from veridical.volumes.draw import volume

BRIEF = {"size": 16, "batch": 4, "steps": 1, "quiet": True}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    data = write_tiles(folder / "data", n=12, size=48, conditions=True)
    train("edm", data, folder / "edm", **BRIEF, **{**UNET, "sampling_steps": 4})
    train("flow_matching", data, folder / "flow", **BRIEF, **UNET)
    train("cfg", data, folder / "cfg", **BRIEF, **{**UNET, "sampling_steps": 4}, label="kind")
    train("vae", data, folder / "vae", **BRIEF, **TOY["vae"])
    train("slicegan", data, folder / "slicegan", **BRIEF, **TOY["slicegan"])
    train("edm_3d", write_volume(folder / "volume"), folder / "edm_3d", **BRIEF, **TOY["edm_3d"])
    return folder


def test_a_volume_is_a_stack_that_says_what_made_it(runs, tmp_path):
    path = volume(runs / "edm", (12, 20, 24), tmp_path / "v.tif", seed=3, quiet=True)
    slices = open_slices(path)
    assert len(slices) == 12 and slices.shapes[0] == (20, 24) and slices.dtype == load(runs / "edm").window.dtype
    record = json.loads((tmp_path / "v.json").read_text())
    assert record["shape"] == [12, 20, 24] and record["seed"] == 3 and record["synthetic"] is True
    with tifffile.TiffFile(path) as tif:
        assert "trainedAlgorithmicMedia" in str(tif.pages[0].tags[700].value)
        assert "&quot;synthetic&quot;: true" in tif.ome_metadata or '"synthetic": true' in tif.ome_metadata
    counts = tifffile.imread(path).astype(float)
    again = volume(runs / "edm", (12, 20, 24), tmp_path / "again.tif", seed=3, batch=5, quiet=True)
    other = volume(runs / "edm", (12, 20, 24), tmp_path / "other.tif", seed=4, quiet=True)
    assert np.abs(tifffile.imread(again) - counts).max() <= 0.002 * counts.max()
    assert np.abs(tifffile.imread(other) - counts).mean() > 0.05 * counts.std()


def test_a_stopped_volume_goes_on_to_the_same_voxels(runs, tmp_path, monkeypatch):
    asked = {"seed": 1, "quiet": True}
    whole = volume(runs / "edm", 16, tmp_path / "whole.tif", **asked)
    real = diffused.synthesise

    def stopping(section, body, grid, noise, state, tell):
        def after(found):
            tell(found)
            if found.done == 2:
                raise KeyboardInterrupt

        return real(section, body, grid, noise, state, after)

    monkeypatch.setattr(diffused, "synthesise", stopping)
    with pytest.raises(KeyboardInterrupt):
        volume(runs / "edm", 16, tmp_path / "part.tif", **asked)
    monkeypatch.undo()
    assert (tmp_path / "part.part.npz").is_file() and not (tmp_path / "part.tif").exists()
    with pytest.raises(InputError, match="another command"):
        volume(runs / "edm", 16, tmp_path / "part.tif", seed=2, quiet=True)
    path = volume(runs / "edm", 16, tmp_path / "part.tif", **asked)
    assert np.array_equal(tifffile.imread(path), tifffile.imread(whole))
    assert not (tmp_path / "part.part.npz").exists()
    (tmp_path / "part.part.npz").write_bytes(b"PK broken")
    with pytest.raises(InputError, match="damaged"):
        volume(runs / "edm", 16, tmp_path / "part.tif", **asked)


def test_a_periodic_volume_goes_on_at_the_opposite_face(runs, tmp_path):
    jumps = {}
    for periodic in (False, True):
        path = volume(runs / "edm", 32, tmp_path / f"{periodic}.tif", periodic=periodic, quiet=True)
        counts = tifffile.imread(path).astype(float)
        jumps[periodic] = np.abs(counts[0] - counts[-1]).mean() / np.abs(np.diff(counts, axis=0)).mean()
    assert jumps[True] < 1.3 < 1.6 < jumps[False]


def test_other_denoisers_of_pixels_draw_volumes_too(runs, tmp_path):
    path = volume(runs / "flow", 16, tmp_path / "v.tif", settings={"sampling_steps": 3}, quiet=True)
    assert tifffile.imread(path).shape == (16, 16, 16)


def test_a_generator_of_volumes_draws_them_of_any_size(runs, tmp_path):
    path = volume(runs / "slicegan", (12, 20, 24), tmp_path / "v.tif", seed=3, quiet=True)
    slices = open_slices(path)
    assert len(slices) == 12 and slices.shapes[0] == (20, 24) and slices.dtype == "uint8"
    record = json.loads((tmp_path / "v.json").read_text())
    assert record["recipe"] == "slicegan" and record["synthetic"] is True and record["direction"]["tiles"] == 108
    again = volume(runs / "slicegan", (12, 20, 24), tmp_path / "again.tif", seed=3, isotropic=True, quiet=True)
    other = volume(runs / "slicegan", (12, 20, 24), tmp_path / "other.tif", seed=4, quiet=True)
    assert np.array_equal(tifffile.imread(again), tifffile.imread(path))
    assert not np.array_equal(tifffile.imread(other), tifffile.imread(path))


def test_a_denoiser_of_blocks_draws_volumes_without_its_data(runs, tmp_path):
    (runs / "volume" / "volume.tif").rename(tmp_path / "elsewhere.tif")
    path = volume(runs / "edm_3d", (12, 20, 24), tmp_path / "v.tif", seed=3, settings={"sampling_steps": 3}, quiet=True)
    (tmp_path / "elsewhere.tif").rename(runs / "volume" / "volume.tif")
    slices = open_slices(path)
    assert len(slices) == 12 and slices.shapes[0] == (20, 24) and slices.dtype == "uint8"
    record = json.loads((tmp_path / "v.json").read_text())
    assert record["settings"]["sampling_steps"] == 3 and record["notes"] == [] and record["direction"] is None
    again, other = (
        volume(
            runs / "edm_3d",
            (12, 20, 24),
            tmp_path / f"{seed}.tif",
            seed=seed,
            batch=2,
            settings={"sampling_steps": 3},
            quiet=True,
        )
        for seed in (3, 4)
    )
    assert np.array_equal(tifffile.imread(again), tifffile.imread(path))
    assert not np.array_equal(tifffile.imread(other), tifffile.imread(path))


@pytest.mark.parametrize(
    ("run", "more", "words"),
    [
        ("edm_3d", {"shape": 12, "periodic": True}, "smaller than the blocks"),
        ("edm_3d", {"settings": {"patch": 1}}, "no sampling setting"),
        ("vae", {}, "train edm"),
        ("cfg", {}, "is told label"),
        ("edm", {"shape": 8, "periodic": True}, "smaller than the tiles"),
        ("slicegan", {"shape": 20, "periodic": True}, "multiple of 8 voxels, 16 at least"),
        ("slicegan", {"settings": {"width": 3}}, "no sampling setting"),
        ("edm", {"out": "v.png"}, "ends with .tif"),
        ("edm", {"settings": {"solver": "heun"}}, "solver of their own"),
        ("edm", {"shape": 20000}, "VERIDICAL_MAX_BYTES"),
        ("edm", {"seed": -1}, "seed of at least 0"),
    ],
)
def test_what_cannot_be_is_said(runs, tmp_path, run, more, words):
    asked = {"shape": 16, "out": "v.tif", "quiet": True} | more
    with pytest.raises(InputError, match=words):
        volume(runs / run, asked.pop("shape"), tmp_path / asked.pop("out"), **asked)


def test_an_odd_spectrum_is_remarked(runs):
    run = load(runs / "edm")
    place = torch.arange(16.0)
    radius = torch.hypot(place[:, None], place) / 16 * torch.pi
    run.model.spectrum.deviation.copy_((1e-3 + torch.exp(-(((radius - 1) / 0.4) ** 2))).sqrt())
    assert "no isotropic body" in diffused.remarks(diffused.law_of(run))[0]


def test_images_with_a_direction_are_refused_unless_the_user_knows_better(runs, tmp_path):
    """Stripes; and data that are gone or others cannot be tested."""
    data, other = tmp_path / "stripes", write_tiles(tmp_path / "more", n=12, size=48)
    for which, count in (("train", 12), ("test", 3)):
        (data / which).mkdir(parents=True)
        for k in range(count):
            stripes = gaussian_filter(np.random.default_rng([k, count]).standard_normal((48, 48)), (1, 12))
            Image.fromarray(np.uint8(128 + 40 * stripes / stripes.std()).clip(0, 255)).save(data / which / f"{k}.png")
    run = train("edm", data, tmp_path / "run", **BRIEF, **{**UNET, "sampling_steps": 4})
    with pytest.raises(InputError, match="along some directions than along others"):
        volume(run, 16, tmp_path / "v.tif", quiet=True)
    volume(run, 16, tmp_path / "v.tif", isotropic=True, quiet=True)
    assert json.loads((tmp_path / "v.json").read_text())["direction"] is None
    data.rename(tmp_path / "gone")
    with pytest.raises(InputError, match="is not there"):
        sections.look(load(run))
    other.rename(data)
    with pytest.raises(InputError, match="is not the data"):
        sections.look(load(run))


def test_boxes_and_shapes():
    assert diffused.box_of((64, 64, 128), 64, True) == (64, 64, 128)
    assert min(diffused.box_of((10, 64, 128), 64, False)) >= 64 and diffused.box_of((10, 64, 128), 64, False)[2] >= 160
    assert parse_shape("8x16x32") == (8, 16, 32) and parse_shape("9") == (9, 9, 9)
    with pytest.raises(InputError, match="is no shape"):
        parse_shape("8x8")
