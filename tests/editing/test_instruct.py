"""Images of any size follow instructions, from a run of pairs; other runs are refused in a sentence."""

import numpy as np
import pytest
from PIL import Image

from toy import TOY, texture, write_changes
from veridical.core.errors import InputError
from veridical.editing.edit import Given
from veridical.editing.folder import edit, edited
from veridical.editing.settings import Told
from veridical.editing.table import EDITS
from veridical.runs.draw import draw, sample
from veridical.runs.run import load
from veridical.training.start import train


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("instruct")
    own = {name: value for name, value in TOY["instruct_pix2pix"].items() if name != "vocabulary"}
    pairs = write_changes(folder / "pairs")
    train("instruct_pix2pix", pairs, folder / "run", size=32, steps=2, batch=4, quiet=True, **own)
    return load(folder / "run")


def changed(run, images, prompts, **more):
    given = Given(prompt=[(text,) for text in prompts])
    return edited(run, images, "instruct_pix2pix", given=given, settings={"steps": 2}, **more).images


def test_image_k_is_edited_alike_alone_and_in_tiles(run):
    images = texture(2, 44)
    said = ["Add a bright square.", "Add a dark square."]
    both = changed(run, images, said)
    alone = changed(run, images[1:], said[1:], numbers=[1])
    assert both.shape == images.shape and np.abs(both[1:] - alone).max() < 1e-4
    assert np.abs(changed(run, images[1:], said[1:], numbers=[0]) - alone).max() > 1e-2


def test_samples_are_of_images_and_instructions(run, tmp_path):
    images = draw(run, 2, prompt="Add a dark square.", before=str(run.folder.parent / "pairs"))
    assert images.shape == (2, 1, 32, 32)
    sample(run.folder, 2, tmp_path / "out", quiet=True)
    assert (tmp_path / "out" / "captions.jsonl").is_file()
    with pytest.raises(InputError, match="instruct_pix2pix takes no source: leave out --source"):
        draw(run, 1, source="phantom:rocks")


def test_counts_outside_a_mask_stay(run, tmp_path):
    before = run.folder.parent / "pairs" / "before"
    mask = np.zeros((40, 40), np.uint8)
    mask[10:20, 10:20] = 1
    Image.fromarray(mask).save(tmp_path / "mask.png")
    out = edit(
        run.folder, before, tmp_path / "out", "instruct_pix2pix", prompt="add a bright square", mask=tmp_path / "mask.png",
        settings={"steps": 2, "image_guidance_scale": 1.2}, quiet=True,
    )  # fmt: skip
    was = np.asarray(Image.open(before / "0003.png"))
    made = np.asarray(Image.open(next(out.glob("*0003.*"))))
    assert (made == was)[mask == 0].all() and (made != was)[mask == 1].any()


def test_a_run_that_knows_no_instructions_is_refused(scan):
    folder, _, _ = scan
    plain = load(folder / "run")
    images, given = np.zeros((1, 1, 32, 32), np.float32), Given(prompt=[("add",)])
    with pytest.raises(InputError, match="was not trained to follow instructions: give a run of instruct_pix2pix"):
        EDITS["instruct_pix2pix"].apply(plain.model, images, given, Told(), size=32, seed=0, numbers=[0], quiet=True)
