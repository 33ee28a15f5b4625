"""Each way trains, is saved and loaded again with equal images; what cannot be is said in one sentence."""

import numpy as np
import pytest
import torch

from toy import write_tiles
from veridical.adapting.adapt import adapt
from veridical.conditions.vocabulary import Vocabulary
from veridical.core.errors import InputError
from veridical.runs.adapted import put_into
from veridical.runs.draw import draw, sample
from veridical.runs.folder import read_run
from veridical.runs.run import load
from veridical.runs.tensors import read_tensors
from veridical.training.start import train

pytestmark = pytest.mark.filterwarnings("ignore")
SMALL = {"size": 32, "steps": 1, "batch": 4, "quiet": True}
FEW = {"steps": 2, "batch": 4, "device": "cpu"}


def adapted(base, data, out, how="lora", **settings):
    return adapt(base, data, out, how=how, settings=FEW | settings, quiet=True)


def test_lora_begins_as_its_base_to_the_bit(edm):
    base, other = (load(edm, "cpu", {"autoguidance": 1.0}) for _ in range(2))
    before = draw(base, 2)
    put_into(other.model, "lora", {"rank": 2, "targets": ("attention", "convolutions")})
    assert np.array_equal(draw(other, 2), before)
    with torch.no_grad():
        other.model.parts["denoiser"][1].add_(0.5)
    assert not np.array_equal(draw(other, 2), before)


def test_lora_trains_few_weights_and_leaves_the_base_alone(edm, tiles, tmp_path):
    before, _ = read_tensors(edm / "model.safetensors")
    out = adapted(edm, tiles[1], tmp_path / "out", rank=1)
    info = read_run(out)
    saved, _ = read_tensors(out / "model.safetensors")
    assert (
        info.finished and info.recipe == "edm" and info.adapted.how == "lora" and info.stages["base"].path == str(edm)
    )
    assert sum(t.numel() for t in saved.values()) == info.adapted.trained == info.cost.parameters
    assert all(".lora_" in name for name in saved) and 0 < info.adapted.share < 0.03
    run, base = load(out, "cpu"), load(edm, "cpu", {"autoguidance": 1.0})
    theirs = base.model.state_dict()
    mine = {name.replace(".base_layer", ""): tensor for name, tensor in run.model.state_dict().items()}
    assert all(torch.equal(tensor, mine[name]) for name, tensor in theirs.items() if not name.startswith("early."))
    assert not np.array_equal(draw(run, 2), draw(base, 2))
    assert np.array_equal(draw(run, 2), draw(load(out, "cpu"), 2))
    assert run.checkpoint()["adapted"]["base_sha256"] == info.adapted.sha256
    with pytest.raises(InputError, match=f"{out.name} has no best state"):  # nor is the base loaded in its own
        load(out, "cpu", {"weights": "best"})
    after, _ = read_tensors(edm / "model.safetensors")
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


def test_counts_are_those_of_the_new_images(edm, tmp_path):
    data = write_tiles(tmp_path / "sixteen", n=6, size=32, dtype="uint16")
    out = adapted(edm, data, tmp_path / "out")
    assert load(out, "cpu").window.dtype == "uint16" != load(edm, "cpu").window.dtype


def test_resumed_is_uninterrupted(edm, tiles, tmp_path):
    whole = adapted(edm, tiles[1], tmp_path / "whole", steps=3, decay=0.0)
    part = adapted(edm, tiles[1], tmp_path / "part", steps=2, decay=0.0)
    with pytest.raises(InputError, match="other settings"):
        adapt(edm, tiles[1], part, settings=FEW | {"rank": 2, "steps": 3}, resume=True, quiet=True)
    adapt(edm, tiles[1], part, settings=FEW | {"steps": 3, "decay": 0.0}, resume=True, quiet=True)
    (mine, _), (theirs, _) = (read_tensors(folder / "model.safetensors") for folder in (part, whole))
    assert read_run(part).cost.steps == 3 and mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], tensor) for name, tensor in theirs.items())


def test_another_base_is_refused_by_its_hash(edm, tiles, tmp_path):
    out = adapted(edm, tiles[1], tmp_path / "out")
    weights = edm / "model.safetensors"
    kept = weights.read_bytes()
    try:
        weights.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
        with pytest.raises(InputError, match="its weights are others"):
            load(out, "cpu")
    finally:
        weights.write_bytes(kept)


def test_what_was_adapted_is_neither_adapted_again_nor_a_stage(edm, tiles, tmp_path):
    out = adapted(edm, tiles[1], tmp_path / "out")
    with pytest.raises(InputError, match="adapted already"):
        adapted(out, tiles[1], tmp_path / "more")
    with pytest.raises(InputError, match="no stage"):
        train("progressive_distillation", tiles[0], tmp_path / "distilled", first=out, **SMALL)


def test_a_run_of_words_hears_captions_or_a_prompt(told, tiles, tmp_path):
    with pytest.raises(InputError, match="--prompt TEXT"):
        adapted(told, tiles[1], tmp_path / "out")
    out = adapted(told, tiles[1], tmp_path / "out", prompt="waves of sandstone")
    base, own = (Vocabulary.from_json((run / "tokenizer.json").read_bytes()) for run in (told, out))
    assert base.notes("waves of sandstone") and not own.notes("waves of sandstone") and own.numbers == base.numbers
    assert own.encode(["waves of sandstone"])[0].tolist() == base.encode(["waves of sandstone"])[0].tolist()
    out = adapted(told, tiles[1], tmp_path / "known", prompt="waves of kind a")
    (where,) = sample(out, 2, tmp_path / "samples", quiet=True, device="cpu").glob("provenance.json")
    assert "waves of kind a" in where.read_text(encoding="utf-8")
    assert (out / "tokenizer.json").read_bytes() == (told / "tokenizer.json").read_bytes()
    adapted(told, tiles[0], tmp_path / "captioned")


def test_a_new_word_is_learned_and_changes_nothing_else(told, tiles, tmp_path):
    out = adapted(told, tiles[1], tmp_path / "out", "textual_inversion", word="sandrock", like="waves")
    saved, _ = read_tensors(out / "model.safetensors")
    assert len(saved) == 2 and all(name.endswith(".learned") for name in saved)  # of its reader and of clip
    with pytest.raises(InputError, match="like=zebra: the training captions never say 'zebra'"):
        adapted(told, tiles[1], tmp_path / "strange", "textual_inversion", word="sandrock", like="zebra")
    with pytest.raises(InputError, match="'two words' is no word"):
        adapted(told, tiles[1], tmp_path / "many", "textual_inversion", word="two words")
    run, base = load(out, "cpu"), load(told, "cpu")
    plain, new = ("waves of kind a", "sandrock of kind a")
    assert np.array_equal(draw(run, 2, prompt=plain), draw(base, 2, prompt=plain))
    assert not np.array_equal(draw(run, 2, prompt=new), draw(run, 2, prompt=plain))
    assert "sandrock" in load_words(out) and "sandrock" not in load_words(told)
    assert np.array_equal(draw(run, 2, prompt=new), draw(load(out, "cpu"), 2, prompt=new))


def load_words(folder):
    from veridical.conditions.vocabulary import Vocabulary

    return Vocabulary.from_json((folder / "tokenizer.json").read_bytes()).words


def test_a_new_word_begins_as_a_known_one(told):
    from veridical.conditions.condition import Request
    from veridical.conditions.text import load_vocabulary

    run = load(told, "cpu")
    vocabulary = load_vocabulary(Request(run.info.to_json(), told, settings=None, n=1))
    ids, _, _ = vocabulary.encode(["waves"])
    before = run.model.denoiser.text.words.weight[ids[0][ids[0] > 0]].mean(0)
    put_into(run.model, "textual_inversion", {"number": vocabulary.size}, like=lambda a: [int(k) for k in ids[0] if k])
    assert torch.equal(run.model.denoiser.text.words.row.detach(), before)


def test_dreambooth_shows_the_base_what_it_drew(told, tiles, tmp_path):
    given = {"prompt": "sks waves", "class_prompt": "waves", "class_images": 3, "class_share": 0.5}
    out = adapted(told, tiles[1], tmp_path / "out", "dreambooth", **given)
    assert read_run(out).adapted.settings["class_prompt"] == "waves"
    assert np.isfinite(draw(load(out, "cpu"), 1, prompt="sks waves")).all()


def test_rows_of_the_prior_are_at_the_end_of_a_batch(tiles):
    from veridical.adapting.told import Told, WithPrior
    from veridical.data.open import open_dataset

    target = open_dataset(tiles[1], 32)
    told = Told(target, [("new",)] * len(target.slices), lambda texts: {"text": np.array([[7]] * len(texts))})
    prior = WithPrior(told, np.full((2, 1, 32, 32), 2.0, np.float32), {"text": np.array([[9]])}, 0.5)
    images, cond = prior.batch(4, 0, 0)
    assert (images.max((1, 2, 3)) == 2).tolist() == [False, False, True, True]
    assert cond["text"][:, 0].tolist() == [7, 7, 9, 9]
    some, _ = prior.batch(4, 0, 0, 1, 3)
    assert np.array_equal(some, images[1:3])


@pytest.mark.parametrize(
    ("how", "settings", "says"),
    [
        ("magic", {}, "how=magic is not known"),
        ("lora", {"prompt": "waves"}, "hears no words"),
        ("lora", {"rank": 0}, "rank=0 cannot be"),
        ("lora", {"targets": ("nowhere",)}, "targets=nowhere"),
        ("lora", {"colour": 1}, "no setting 'colour'"),
        ("textual_inversion", {}, "say which"),
        ("textual_inversion", {"word": "sandrock"}, "hears no words"),
        ("dreambooth", {"prompt": "a"}, "class_prompt"),
    ],
)
def test_what_cannot_be_is_one_sentence(edm, tiles, tmp_path, how, settings, says):
    with pytest.raises(InputError, match=says) as caught:
        adapted(edm, tiles[1], tmp_path / "out", how, **settings)
    assert "\n" not in str(caught.value)


def test_too_few_images_and_other_channels_are_refused(edm, clip, tmp_path):
    with pytest.raises(InputError, match="at least 5"):
        adapted(edm, write_tiles(tmp_path / "few", n=2, size=32), tmp_path / "out")
    with pytest.raises(InputError, match="RGB"):
        adapted(edm, write_tiles(tmp_path / "rgb", n=6, size=32, channels=3), tmp_path / "out")
    with pytest.raises(InputError, match="cannot be adapted"):
        adapted(clip, tmp_path / "few", tmp_path / "out")
