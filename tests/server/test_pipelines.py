"""Pipelines of other people behind the server: the real client, and the hosted generator of ours."""

import json

import numpy as np
import openai
import pytest
from diffusers import StableDiffusionInstructPix2PixPipeline

from pipelines import SIZE, components, written
from serving import alpha_mask, pixels, png, running
from veridical import draw, load
from veridical.data.colour import chroma, luminance
from veridical.editing.hosted import edit_hosted
from veridical.server.served import load_all
from veridical.server.service import Service

HOW = {"sampling_steps": 2, "guidance_scale": 3.0}
HOLE = np.zeros((SIZE, SIZE), bool)
HOLE[10:30, 20:50] = True


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("served")
    written(place / "stable")
    written(place / "instruct", components(beside=4), StableDiffusionInstructPix2PixPipeline)
    return place


@pytest.fixture(scope="module")
def service(folder):
    return Service(load_all([f"hub:{folder / name}" for name in ("stable", "instruct")], "cpu", HOW))


@pytest.fixture(scope="module")
def url(service):
    with running(service) as address:
        yield address


@pytest.fixture(scope="module")
def client(url):
    with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as found:
        yield found


def grey(dtype=np.uint8):
    rng = np.random.default_rng(0)
    return rng.integers(0, np.iinfo(dtype).max // 2, (SIZE, SIZE)).astype(dtype)


def test_models_say_what_pipelines_can_and_not_where_they_are(client, folder):
    found = {model.id: model.veridical for model in client.models.list()}
    assert found["stable"]["routes"] == ["generations", "edits"] and "ledits" in found["stable"]["how"]
    assert found["instruct"]["routes"] == ["edits"] and found["instruct"]["how"] == ["instruct_pix2pix"]
    assert found["stable"]["checkpoint"]["class"] == "StableDiffusionPipeline" and found["stable"]["size"] == "64x64"
    assert str(folder) not in json.dumps(found)


def test_a_pipeline_draws_behind_the_server_what_it_draws_here(client, folder):
    made = client.images.generate(model="stable", prompt="a wave", n=2, extra_body={"seed": 3})
    mine = draw(load(f"hub:{folder / 'stable'}", "cpu", HOW), 2, seed=3, prompt="a wave")
    for entry, image in zip(made.data, mine, strict=True):
        assert np.abs(pixels(entry).astype(float) - 255 * image.transpose(1, 2, 0)).max() <= 0.5 + 0.05
        assert "chroma" not in entry.veridical
    assert "learned elsewhere" in made.veridical["notes"][0]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_images_stay_grey_and_what_is_outside_stays(client, dtype):
    before = grey(dtype)
    made = client.images.edit(
        model="stable",
        prompt="a wave",
        image=png(before),
        mask=alpha_mask(HOLE),
        extra_body={"settings": '{"steps": 2}'},
    )
    after = pixels(made.data[0])
    assert after.dtype == dtype and after.shape == before.shape and made.veridical["how"] == "inpaint"
    np.testing.assert_array_equal(after[~HOLE], before[~HOLE])
    assert (after != before)[HOLE].mean() > 0.5 and 0 < made.data[0].veridical["chroma"] < 1
    colour = np.repeat(grey()[..., None], 3, 2)
    colour[..., 0] //= 2
    made = client.images.edit(
        model="stable", prompt="a wave", image=png(colour), extra_body={"settings": '{"steps": 2}'}
    )
    assert pixels(made.data[0]).shape == (SIZE, SIZE, 3) and "chroma" not in made.data[0].veridical


def test_what_a_pipeline_cannot_is_refused(client):
    with pytest.raises(openai.BadRequestError, match="draws what it is told: give a prompt"):
        client.images.generate(model="stable", prompt="")
    with pytest.raises(openai.BadRequestError, match="has edits, no generations"):
        client.images.generate(model="instruct", prompt="a wave")
    with pytest.raises(openai.BadRequestError, match="no variations"):
        client.images.create_variation(model="stable", image=png(grey()))
    with pytest.raises(openai.BadRequestError, match="differ in size, bits or channels"):
        colour = np.stack([grey(), grey(), 0 * grey()], 2)
        client.images.edit(model="stable", prompt="a wave", image=[png(grey()), png(colour)])


def test_the_hosted_generator_edits_with_it(url, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    (tmp_path / "a.png").write_bytes(png(grey()))
    (tmp_path / "mask.png").write_bytes(png(HOLE.astype(np.uint8)))
    edit_hosted(
        f"hosted:stable@{url}", tmp_path / "a.png", tmp_path / "out", "inpaint", prompt="a wave", mask=tmp_path / "mask.png",
        settings={"settings": '{"steps": 2}'}, quiet=True,
    )  # fmt: skip
    (one,) = json.loads((tmp_path / "out" / "provenance.json").read_text())["images"]
    assert one["outside_changed_share"] == 0 and one["server"]["how"] == "inpaint"


def test_samples_like_grey_images_are_grey_with_the_colour_they_had(folder, tmp_path):
    (tmp_path / "like").mkdir()
    (tmp_path / "like" / "a.png").write_bytes(png(grey()))
    served = load_all([f"hub:{folder / 'stable'}"], "cpu", HOW | {"like": str(tmp_path / "like")})
    mine = draw(load(f"hub:{folder / 'stable'}", "cpu", HOW), 1, seed=3, prompt="a wave")
    with running(Service(served)) as url, openai.OpenAI(base_url=url, api_key="none", max_retries=0) as client:
        made = client.images.generate(prompt="a wave", model="stable", extra_body={"seed": 3})
    assert np.abs(pixels(made.data[0]) - 255 * luminance(mine)[0, 0]).max() <= 0.55
    assert made.data[0].veridical["chroma"] == pytest.approx(float(chroma(mine)[0]), abs=1e-5)
    assert str(tmp_path) not in json.dumps(made.veridical)
