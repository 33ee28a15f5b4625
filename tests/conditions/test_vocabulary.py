"""Words and numbers of captions become tokens, always the same, of which nothing is unknown."""

import json
import subprocess
import sys

import numpy as np
import pytest

from veridical.conditions.vocabulary import MOST_TOKENS, Vocabulary, fit_vocabulary
from veridical.core.errors import InputError

TRAIN = ["Porosity 0.2, 10 grains, version 3.", "porosity of 0.4, 20 grains, no cracks, version 3.", "many cracks"]


@pytest.fixture(scope="module")
def vocabulary():
    return fit_vocabulary(TRAIN)


def tokens(vocabulary, caption):
    ids = vocabulary.encode([caption])[0][0]
    return [vocabulary.tokenizer.id_to_token(int(k)).replace("Ġ", " ") for k in ids if k]


def test_numbers_of_properties_are_values_and_others_are_digits(vocabulary):
    assert list(vocabulary.numbers) == ["grains", "porosity"]  # version never changes: no property
    assert vocabulary.numbers["porosity"].mean == pytest.approx(0.3)
    ids, values, _ = vocabulary.encode([TRAIN[0], "30 grains of porosity 0.3", "21 cracks"])
    assert values[0][ids[0] == 1] == pytest.approx([-1, -1])
    assert values[1][ids[1] == 1] == pytest.approx([3, 0])
    assert (values[ids != 1] == 0).all() and not (ids[2] == 1).any()
    assert tokens(vocabulary, "12 cracks")[-3:] == ["1", "2", " cracks"]
    assert tokens(vocabulary, "porosity 0.2.") == [" porosity", "<num>", "."]


def test_numbers_too_large_to_be_values_are_digits():
    """Neither their square nor a standardised value is finite."""
    found = fit_vocabulary(["porosity 0.2", "porosity 0.4", "porosity 1e308", "porosity -1e308", "porosity 1e308"])
    assert found.numbers["porosity"].std == pytest.approx(0.1)
    assert np.isfinite(found.encode(["porosity 1e60", "porosity 1e308"])[1]).all()


@pytest.mark.parametrize(
    ("caption", "values"),
    [
        ("porosity: 0.5", [2]),
        ("porosity = 0.5%", [2]),
        ("porosity is about 5e-1", [2]),
        ("porosity -0.1", [-4]),
        ("a porosity5", []),
        ("porosity 0,5", []),  # a decimal comma may be a list as well
        ("porosity 1.2.3", []),
        ("porosity 1e999", []),
        ("porosity, 0.5", []),
        ("(25grains)", [2]),
        ("0.5", []),
        ("porosity <num> <pad>", []),
    ],
)
def test_what_counts_as_a_number(vocabulary, caption, values):
    ids, found, _ = vocabulary.encode([caption])
    assert found[ids == 1] == pytest.approx(values) and (ids == 1).sum() == len(values)


def test_nothing_is_unknown_and_case_and_spaces_say_nothing(vocabulary):
    for caption in ("Größe 日本 🪨", "naïve", "\x00"):
        ids = vocabulary.encode([caption])[0][0]
        assert vocabulary.tokenizer.decode(ids[ids > 0].tolist()).strip() == caption.lower()
    assert tokens(vocabulary, "  MANY \n cracks") == tokens(vocabulary, "many cracks")


def test_an_empty_caption_is_padding_throughout(vocabulary):
    ids, values, _ = vocabulary.encode(["", "many cracks"])
    assert ids.dtype == np.int64 and values.dtype == np.float32 and ids.shape == values.shape == (2, vocabulary.length)
    assert not ids[0].any() and ids[1].any()


def test_long_captions_are_cut_and_named():
    known = fit_vocabulary(["crack " * 1700, "short"])
    ids, _, cut = known.encode(["short", "crack " * 1700])
    assert known.length == MOST_TOKENS == ids.shape[1] and cut == [1] and ids[1].all()
    assert fit_vocabulary(["one two", "three"]).length == 32
    assert fit_vocabulary(["a, " * 17] * 2).length == 56  # room for 51 tokens: half as many again as the 34 there are


def test_what_training_captions_never_said_is_noted(vocabulary):
    assert vocabulary.notes("no cracks, porosity 0.3") == []
    said = "Porousity 7 of quartz, porosity 0.9"
    assert vocabulary.notes(said) == ["the training captions never say 'porousity' (nearest: 'porosity'), 'quartz'"]
    assert vocabulary.beyond(said) == ["'porosity' 0.9 lies outside the training captions, 0.2 to 0.4"]
    assert vocabulary.beyond("porosity 0.401, porosity 0.2") == []  # rounding


def test_the_same_captions_give_the_same_file_in_every_process(vocabulary):
    code = f"from veridical.conditions.vocabulary import fit_vocabulary; print(fit_vocabulary({TRAIN!r}).to_json(), end='')"
    for _ in range(2):
        assert (
            subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == vocabulary.to_json()
        )
    again = Vocabulary.from_json(vocabulary.to_json())
    assert again.to_json() == vocabulary.to_json()
    for one, other in zip(again.encode(TRAIN), vocabulary.encode(TRAIN)):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "change",
    [
        {"length": 0}, {"length": 10**9}, {"length": "x"}, {"words": [1]}, {"words": None}, {"numbers": {"a": 1}},
        {"numbers": {"a": {"mean": float("nan"), "std": 1.0, "low": 0.0, "high": 1.0}}},
        {"numbers": {"a": {"mean": 0.0, "std": 0.0, "low": 0.0, "high": 1.0}}}, {"tokenizer": {}}, {"tokenizer": []},
        {"tokenizer": {"model": {"type": "BPE"}}},
    ],
)  # fmt: skip
def test_a_file_that_holds_something_else_is_a_sentence(change, vocabulary):
    content = json.loads(vocabulary.to_json())
    with pytest.raises(InputError, match=r"tokenizer\.json"):
        Vocabulary.from_json(json.dumps(content | change))
    for name in content:
        with pytest.raises(InputError, match=rf"tokenizer\.json: its {name} cannot be read"):
            Vocabulary.from_json(json.dumps({k: v for k, v in content.items() if k != name}))
    with pytest.raises(InputError, match=r"not valid JSON"):
        Vocabulary.from_json("[" * 10**5)


def test_captions_without_words_are_refused():
    with pytest.raises(InputError, match="hold no words"):
        fit_vocabulary(["12", "..."])


def test_other_captions_are_read_with_the_same_tokens(vocabulary):
    other, notes = vocabulary.widened(["porosity 0.9, 12 grains, clay", "porosity 0.3"])
    assert other.reads_as(vocabulary) and not other.reads_as(fit_vocabulary(TRAIN[:2]))
    caption = ["porosity 0.35, 15 grains, clay"]
    for one, two in zip(other.encode(caption)[:2], vocabulary.encode(caption)[:2], strict=True):
        np.testing.assert_array_equal(one, two)
    assert notes == [
        "1 words are new to the tokenizer that reads these captions, such as 'clay'",
        "numbers of 'porosity' lie outside those that the tokenizer was fitted on",
    ]
    assert vocabulary.notes("clay") and not other.notes("clay, cracks")
    assert not other.beyond("porosity 0.8") and "0.3 to 0.9" in other.beyond("porosity 0.2")[0]
    assert vocabulary.widened(TRAIN) == (vocabulary, [])
    with pytest.raises(InputError, match="no words"):
        vocabulary.widened(["12"])
