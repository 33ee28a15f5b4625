"""The hosted generator: our own server, and servers that know nothing of us and do not what they are asked."""

import json
import re

import numpy as np
import pytest
import tifffile
from PIL import Image

from serving import faked, running
from toy import TOY, write_tiles
from veridical.core.errors import InputError
from veridical.editing.hosted import edit_hosted
from veridical.hub.hosted import Hosted, grey_of
from veridical.hub.sampling import sample_hosted
from veridical.runs.draw import sample
from veridical.server.served import load_all
from veridical.server.service import Service
from veridical.training.start import train

HOLE = np.zeros((20, 26), bool)
HOLE[6:12, 8:16] = True


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "none")


@pytest.fixture(scope="module")
def edm(tmp_path_factory):
    """A run folder."""
    folder = tmp_path_factory.mktemp("hosted")
    data = write_tiles(folder / "data", n=8, size=24)
    return train("edm", data, folder / "edm", steps=1, size=16, batch=4, threads=1, quiet=True, **TOY["edm"])


@pytest.fixture(scope="module")
def ours(edm):
    """``hosted:edm@...`` of our own server."""
    with running(Service(load_all([edm], "cpu", None))) as url:
        yield f"hosted:edm@{url}"


@pytest.fixture
def images(tmp_path):
    """An 8-bit and a 16-bit image, and a mask."""
    rng = np.random.default_rng(0)
    for name, dtype, top in (("eight.png", np.uint8, 255), ("deep.tif", np.uint16, 50000)):
        image = rng.integers(0, top, HOLE.shape).astype(dtype)
        (tifffile.imwrite if name.endswith("tif") else lambda path, array: Image.fromarray(array).save(path))(
            tmp_path / name, image
        )
    Image.fromarray(HOLE.astype(np.uint8)).save(tmp_path / "mask.png")
    return tmp_path


def record(folder):
    return json.loads((folder / "provenance.json").read_text())


def test_our_server_draws_for_the_client_what_the_run_draws(ours, edm, tmp_path):
    sample_hosted(ours, 3, tmp_path / "hosted", seed=4, quiet=True)
    sample(edm, 3, tmp_path / "own", seed=4, batch=1, quiet=True)
    for k in range(3):
        far, near = (
            np.asarray(Image.open(tmp_path / name)) for name in (f"hosted/hosted_{k:05d}.png", f"own/edm_{k:05d}.png")
        )
        assert np.array_equal(far, near)
    said = record(tmp_path / "hosted")
    assert said["model"] == "edm" and said["server"] == record(tmp_path / "own")["checkpoint"]
    assert json.loads((tmp_path / "hosted" / "cost.json").read_text())["requests"] == 3


def test_what_was_killed_goes_on_and_pays_once(monkeypatch, edm, tmp_path):
    with faked() as (fake, spec):
        monkeypatch.setattr("veridical.hub.hosted.TRIES", 0)
        hosted = Hosted.generate

        def dies(self, prompt, number, seed, given):
            answer = hosted(self, prompt, number, seed, given)
            if number == 2:
                raise KeyboardInterrupt  # after the answer was paid for
            return answer

        monkeypatch.setattr(Hosted, "generate", dies)
        with pytest.raises(KeyboardInterrupt):
            sample_hosted(spec, 4, tmp_path / "out", prompt=["a", "b"], quiet=True)
        assert len(fake.asked) == 3
        monkeypatch.setattr(Hosted, "generate", hosted)
        fake.fail = [500]
        with pytest.raises(InputError, match=r"answered 500 .busy.*give the same command again"):
            sample_hosted(spec, 4, tmp_path / "out", prompt=["a", "b"], quiet=True)
        sample_hosted(spec, 4, tmp_path / "out", prompt=["a", "b"], quiet=True)
    assert [one["prompt"] for one in fake.asked] == ["a", "b", "a", "b"] and "seed" not in fake.asked[0]
    cost = json.loads((tmp_path / "out" / "cost.json").read_text())
    assert cost["requests"] == 4 and cost["usage"]["total_tokens"] == 48
    assert [one["condition"]["text"] for one in record(tmp_path / "out")["images"]] == ["a", "b", "a", "b"]


def test_a_busy_server_is_asked_again(monkeypatch, edm, tmp_path):
    with faked() as (fake, spec):
        fake.fail = [429, 503, 429]
        sample_hosted(spec, 1, tmp_path / "out", prompt="a", quiet=True)
        assert len(fake.asked) == 1 and not fake.fail


@pytest.mark.parametrize(("name", "dtype"), [("eight.png", np.uint8), ("deep.tif", np.uint16)])
def test_an_edit_of_our_server_keeps_what_is_outside(ours, images, name, dtype):
    given = {"settings": '{"steps": 2, "resamplings": 1}'}
    edit_hosted(ours, images / name, images / "out", "inpaint", mask=images / "mask.png", settings=given, quiet=True)
    said = record(images / "out")
    (one,) = said["images"]
    read = tifffile.imread if dtype == np.uint16 else lambda path: np.asarray(Image.open(path))
    before, after = read(images / name), read(images / "out" / one["file"])
    assert after.dtype == dtype and np.array_equal(after[~HOLE], before[~HOLE]) and (after != before)[HOLE].mean() > 0.5
    assert one["outside_changed_share"] == 0 and one["server"]["how"] == "inpaint"
    assert ("8 bits" in " ".join(one.get("notes", ()))) == (dtype == np.uint16)
    with Image.open(images / "out" / one["file"]) as image:  # a part is measured
        assert b"/compositeWithTrainedAlgorithmicMedia" in image.info["xmp"]


def test_a_server_that_ignores_the_mask_is_found_out(monkeypatch, edm, images, caplog):
    with faked() as (fake, spec):
        fake.tint = 40
        edit_hosted(
            spec, images / "eight.png", images / "out", "inpaint", mask=images / "mask.png", prompt="a", quiet=True
        )
        (one,) = record(images / "out")["images"]
        before, after = (np.asarray(Image.open(path)) for path in (images / "eight.png", images / "out" / one["file"]))
        assert one["outside_changed_share"] > 0.9 and np.array_equal(after[~HOLE], before[~HOLE])
        assert one["chroma"] == pytest.approx(40 / 255) and one["usage"]["total_tokens"] == 12
        assert "outside masks" in " ".join(one["notes"]) and "luminance" in caplog.text
        # what was sent: RGB of equal channels, and alpha 0 where it may change
        assert "how" not in fake.asked[0] and "seed" not in fake.asked[0]
        edit_hosted(
            spec, images / "eight.png", images / "again", "inpaint", mask=images / "mask.png", prompt="a", quiet=True
        )
        assert len(fake.asked) == 2  # another folder, other answers


def test_a_picture_of_another_size_is_resampled_and_said(monkeypatch, edm, images):
    with faked() as (fake, spec):
        fake.size = (40, 52)
        edit_hosted(spec, images / "eight.png", images / "out", "instruct_pix2pix", prompt="a", quiet=True)
        (one,) = record(images / "out")["images"]
        assert "52 x 40 pixels and was resampled" in " ".join(one["notes"])
        assert Image.open(images / "out" / one["file"]).size == (26, 20)


def test_a_route_that_is_not_there_is_found_out_before_anything_is_sent(monkeypatch, ours, edm, images):
    with pytest.raises(InputError, match="has no variations"):
        edit_hosted(ours, images / "eight.png", images / "out", "variation", quiet=True)
    with faked() as (fake, spec):
        with pytest.raises(InputError, match="has no variations"):
            edit_hosted(spec, images / "eight.png", images / "out", "variation", quiet=True)
        assert not fake.asked


def test_a_server_that_draws_nothing_is_refused(monkeypatch, edm, tmp_path):
    with faked() as (fake, spec):
        fake.routes = ("edits",)
        with pytest.raises(InputError, match="draws no images from nothing"):
            sample_hosted(spec, 1, tmp_path / "out", quiet=True)
        fake.routes, fake.tint = ("generations",), 40
        sample_hosted(spec, 2, tmp_path / "out", prompt="a", settings={"colour": "grey"}, quiet=True)
    assert record(tmp_path / "out")["chroma"] == pytest.approx(40 / 255)
    assert Image.open(tmp_path / "out" / "hosted_00000.png").mode == "L"


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("hosted:@http://127.0.0.1:1/v1", "names no model and address"),
        ("hosted:x", "names no model and address"),
        ("hosted:x@ftp://a", "names no model and address"),
        ("hosted:dream@URL", "has no model 'dream': it has edm"),
    ],
)
def test_what_names_no_model_is_refused(ours, tmp_path, spec, said):
    with pytest.raises(InputError, match=re.escape(said)):
        sample_hosted(spec.replace("URL", ours.partition("@")[2]), 1, tmp_path / "out", quiet=True)


def test_the_key_is_in_the_environment_or_nowhere(monkeypatch, ours, tmp_path):
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(InputError, match="OPENAI_API_KEY is not in the environment"):
        sample_hosted(ours, 1, tmp_path / "out", quiet=True)


def test_settings_of_the_request_are_checked(ours, tmp_path, images):
    with pytest.raises(InputError, match="no setting 'steps'"):
        sample_hosted(ours, 1, tmp_path / "out", settings={"steps": 3}, quiet=True)
    with pytest.raises(InputError, match=r"answered 400 .Invalid value for 'quality'"):
        sample_hosted(ours, 1, tmp_path / "out", settings={"quality": "high"}, quiet=True)
    with pytest.raises(InputError, match="colour=red cannot be: give colour=grey"):
        sample_hosted(ours, 1, tmp_path / "out", settings={"colour": "red"}, quiet=True)
    with pytest.raises(InputError, match="not 'sdedit'"):
        edit_hosted(ours, images / "eight.png", tmp_path / "edited", "sdedit", quiet=True)


def test_grey_is_luminance_and_colour_is_measured():
    flat = np.full((4, 4, 3), (255, 0, 0), np.uint8)
    grey, colour = grey_of(flat)
    assert (grey == 54).all() and colour == 1  # as of grey images behind a pipeline
    assert grey_of(flat[..., 0])[1] == 0


def test_the_commands_take_hosted_generators_as_runs(ours, images, run_command):
    code, text, error = run_command("sample", ours, "-n", 1, "--out", images / "drawn", "--quiet")
    assert code == 0 and "1 image," in text, error
    code, text, error = run_command(
        "edit", ours, images / "eight.png", "--how", "inpaint", "--mask", images / "mask.png", "--out", images / "edited",
        "--set", 'settings={"steps": 2}', "--quiet",
    )  # fmt: skip
    assert code == 0 and "edited" in text, error
    assert run_command("sample", ours, "--label", "a", "--out", images / "x")[0] == 2
