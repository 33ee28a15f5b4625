"""Prompts of an edit: conditions of texts, and places of words in what a network attends to."""

import pytest
import torch

from toy import TOY, write_tiles
from veridical import InputError, train
from veridical.editing.words import RunWords
from veridical.runs.run import load

TEXT = "waves of kind b, phase 4.00"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run that hears words, and one that does not."""
    folder = tmp_path_factory.mktemp("words")
    data = write_tiles(folder / "data", n=8, size=16, conditions=True)
    common = {"steps": 1, "size": 16, "batch": 2, "threads": 1, "quiet": True}
    own = {key: value for key, value in TOY["text_to_image"].items() if key != "vocabulary"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("veridical.training.loop.Watch.look", lambda *_, **__: None)
        return (
            load(train("text_to_image", data, folder / "told", text="auto", **common, **own), "cpu"),
            load(train("edm", data, folder / "deaf", **common, **TOY["edm"]), "cpu"),
        )


def test_an_empty_text_says_nothing(runs):
    cond = RunWords(runs[0]).cond([TEXT, ""])
    assert (cond["text"][0] != 0).any() and (cond["text"][1] == 0).all() and len(cond["value"]) == 2
    assert all(isinstance(value, torch.Tensor) for value in cond.values())


def test_places_of_words_are_those_of_the_sequence(runs):
    """Changing a word changes no embedding of a token but those at its places, one further: a vector stands in front."""
    words = RunWords(runs[0])
    places = dict(words.places(TEXT))
    assert [word for word, _ in words.places(TEXT)] == TEXT.split()
    taken = [place for _, mine in words.places(TEXT) for place in mine]
    assert taken == list(range(1, len(taken) + 1))
    ids = [words.cond([text])["text"][0] for text in (TEXT, TEXT.replace("kind b", "kind a"))]
    differ = (ids[0] != ids[1]).nonzero().flatten() + 1
    assert differ.tolist() and set(differ.tolist()) <= set(places["b,"])
    assert words.places("") == []


def test_strange_words_and_numbers_are_said(runs):
    words = RunWords(runs[0])
    assert any("giraffes" in note for note in words.remarks("prompt", ["waves of giraffes"]))
    assert words.remarks("prompt", [TEXT.replace("4.00", "3.00")]) == []


def test_a_run_without_words(runs):
    with pytest.raises(InputError, match="edm hears no words: leave the prompt out"):
        RunWords(runs[1])
