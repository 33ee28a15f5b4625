"""The exported tokenizer spells as the vocabulary does."""

import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers.normalizers import NFKC

from veridical.conditions.vocabulary import fit_vocabulary
from veridical.hub.tokens import fast_tokenizer

VOCABULARY = fit_vocabulary(
    ["Two cracks, porosity 0.31.", "no cracks; porosity 0.2", "a binder border in the upper left"]
)
PIECES = (
    "two cracks ",
    "POROSITY 0.25",
    "<pad>",
    "<NUM>",
    "<begin",
    "<end> ",
    " ",
    "\t",
    "\x1f",
    "ΟΔΟΣ",
    "İ",
    "ﬁ",
    "½",
    "é",
)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    """As a pipeline loads it from a folder."""
    from transformers import PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tokenizer")
    fast_tokenizer(VOCABULARY).save_pretrained(folder)
    return PreTrainedTokenizerFast.from_pretrained(folder)


# Letters that the two libraries' versions of Unicode both know.
KNOWN = st.characters(exclude_categories=("Cs", "Cn")).filter(
    lambda letter: NFKC().normalize_str(letter) == unicodedata.normalize("NFKC", letter)
)
TEXTS = st.text(KNOWN, max_size=30)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(PIECES), TEXTS), max_size=8).map("".join))
def test_both_spell_alike(tokenizer, text):
    made = tokenizer([text], padding="max_length", max_length=tokenizer.model_max_length, truncation=True)
    expected = VOCABULARY.spell([text])
    assert np.array_equal(made.input_ids, expected)
    assert np.array_equal(made.attention_mask, expected != 0)


def test_it_begins_ends_cuts_and_fills_up(tokenizer):
    made = tokenizer(
        ["", "two cracks " * 100], padding="max_length", max_length=tokenizer.model_max_length, truncation=True
    )
    empty, long = made.input_ids
    assert tokenizer.model_max_length == VOCABULARY.spelled == len(empty) == len(long)
    assert empty == [2, 3] + [0] * (VOCABULARY.spelled - 2) and long[0] == 2 and long[-1] == 3 and 0 not in long
