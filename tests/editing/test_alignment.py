"""Words of two texts: partners, and what of the attention to one holds for the other."""

import numpy as np

from veridical.editing.alignment import changed, exchange, places_of


def said(text, tokens=lambda word: 1, first=1):
    """Words with as many places one after another as `tokens` says."""
    found, at = [], first
    for word in text.split():
        count = tokens(word)
        found.append((word, tuple(range(at, at + count))))
        at += count
    return found


def attention(length, seed=0):
    weights = np.random.default_rng(seed).uniform(0, 1, (3, length)).astype(np.float32)
    return weights / weights.sum(1, keepdims=True)


def moved(source, target, length=12):
    a, b = attention(length), attention(length, 1)
    matrix, own = exchange(source, target, length)
    return a, b, a @ matrix + own * b


def test_equal_texts_have_the_attention_of_the_source():
    text = said("three cracks on the left")
    a, _, found = moved(text, text)
    np.testing.assert_array_equal(found, a)


def test_a_word_takes_the_place_of_another():
    a, _, found = moved(said("three cracks, wide"), said("three pores, wide"))
    np.testing.assert_array_equal(found, a)
    # a longer word shares what the shorter one had, and what stands behind moves with it
    longer = said("three inclusions wide", lambda word: 3 if word == "inclusions" else 1)
    a, _, found = moved(said("three cracks wide"), longer)
    np.testing.assert_allclose(found[:, 2:5], a[:, 2:3].repeat(3, 1) / 3)
    np.testing.assert_array_equal(found[:, 5], a[:, 3])
    np.testing.assert_array_equal(found[:, [0, 1, *range(6, 12)]], a[:, [0, 1, *range(6, 12)]])


def test_added_words_have_their_own():
    a, b, found = moved(said("two cracks"), said("two wide cracks"))
    np.testing.assert_array_equal(found[:, :4], np.stack([a[:, 0], a[:, 1], b[:, 2], a[:, 2]], 1))
    np.testing.assert_array_equal(found[:, 4:], a[:, 4:])


def test_words_that_go_leave_none_behind():
    a, b, found = moved(said("two wide cracks"), said("two cracks"))
    np.testing.assert_array_equal(found[:, 1:3], a[:, [1, 3]])
    np.testing.assert_array_equal(found[:, 3], b[:, 3])  # a word in the source, none in the target
    np.testing.assert_array_equal(found[:, 4:], a[:, 4:])


def test_nothing_is_shared_with_no_text():
    a, b, found = moved([], said("two cracks"))
    np.testing.assert_array_equal(found[:, 1:3], b[:, 1:3])
    np.testing.assert_array_equal(found[:, 3:], a[:, 3:])


def test_a_change_is_the_words_that_differ():
    assert changed(said("binder 9 percent, 0 cracks."), said("binder 9 percent, number of cracks 1.")) == (
        ["0"],
        ["number", "of", "1"],
    )
    assert changed(said("Two Cracks,"), said("two cracks.")) == ([], [])
    assert places_of("Cracks", said("cracks, two cracks.")) == [1, 3]
