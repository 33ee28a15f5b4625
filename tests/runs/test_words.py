"""Images and words in a CLIP of the domain: samples and their prompts beside real images and their captions."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from toy import TOY, write_tiles
from veridical.cli import app
from veridical.conditions.table import SIZES
from veridical.core.errors import InputError
from veridical.data.images import channels_first
from veridical.data.readers.open import open_slices
from veridical.runs.draw import sample
from veridical.runs.words import embed_images, embed_texts, load_clip, words_of
from veridical.scoring.measures import clipscore
from veridical.scoring.sets import Sets, Words
from veridical.scoring.table import METRICS
from veridical.training.start import train


def trained(name, data, out):
    own = {k: v for k, v in TOY[name].items() if k not in SIZES}
    return train(name, data, out, text="auto", size=32, batch=4, steps=2, quiet=True, threads=1, **own)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("words")
    data = write_tiles(root / "data", size=32, conditions=True)
    clip = trained("clip", data, root / "clip")
    painter = trained("text_to_image", data, root / "painter")
    prompts = ["waves of kind a, phase 2.00", "waves of kind b, phase 3.00"]
    return data, clip, sample(painter, 6, root / "samples", prompt=prompts, quiet=True)


def test_samples_of_prompts_are_a_captioned_set(folders):
    _, _, samples = folders
    rows = [json.loads(line) for line in (samples / "captions.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["file_name"] for row in rows] == [f"text_to_image_{k:05d}.png" for k in range(6)]
    assert [row["text"][14] for row in rows] == ["a", "b"] * 3


def test_words_of_samples_and_of_real_images(folders):
    data, clip, samples = folders
    words = words_of(data / "test", samples, clip)
    assert words.synth.shape == words.others.shape == (6,) and words.real.shape == (6,)
    run = load_clip(clip)
    texts = embed_texts(run, ["waves of kind a, phase 2.00", "waves of kind b, phase 3.00"])
    slices = open_slices(samples)
    seen = embed_images(run, channels_first(run.window.to_unit(np.stack([slices[k] for k in range(6)]))))
    assert words.synth == pytest.approx((seen * texts[[0, 1] * 3]).sum(1), abs=1e-5)
    assert words.others == pytest.approx((seen * texts[[1, 0] * 3]).sum(1), abs=1e-5)
    longer = ["waves of kind a, phase 2.00, and more that nobody has heard", "waves", "waves of kind b, phase 3.00"]
    assert embed_texts(run, longer, batch=2)[2] == pytest.approx(texts[1], abs=1e-5)


def test_the_score_stands_between_chance_and_the_ceiling():
    images = np.random.default_rng(0).random((8, 1, 32, 32), np.float32)
    words = Words(np.linspace(-0.2, 0.6, 8), np.full(8, 0.1), np.full(5, 0.9), np.arange(8))
    metric = METRICS["clipscore_domain"]
    found = clipscore(Sets(images, images, words=words), metric)
    assert found["value"] == pytest.approx(2.5 * np.linspace(-0.2, 0.6, 8).clip(0).mean())
    assert found["low"] < found["value"] < found["high"] and found["floor"] == pytest.approx(2.25)
    assert found["settings"]["prompts of other images"] == pytest.approx(0.25) and found["n"] == 8
    assert "needs prompts" in metric.lacks(Sets(images, images))


def test_the_command_scores_words(folders, tmp_path):
    data, clip, samples = folders
    out = tmp_path / "score.json"
    done = CliRunner().invoke(app, ["score", str(data / "test"), str(samples), "--clip", str(clip), "--json", str(out)])
    assert done.exit_code == 0, done.output
    (found,) = [row for row in json.loads(out.read_text()) if row["metric"] == "clipscore_domain"]
    assert found["value"] is not None and found["n"] == 6


def test_other_runs_and_images_are_refused(folders, tmp_path):
    _, clip, samples = folders
    with pytest.raises(InputError, match="compares no words with images: train the recipe clip"):
        load_clip(clip.parent / "painter")
    larger = write_tiles(tmp_path / "larger", n=2, size=48, conditions=True)
    with pytest.raises(InputError, match="not of the 32 x 32 pixels"):
        words_of(larger, samples, clip)
