import re

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from veridical.conditions.vocabulary import _numbers
from veridical.core.orientation import turn
from veridical.wording import (
    INSTRUCTIONS,
    PLACES,
    ROWS,
    Fact,
    describe,
    instructions,
    place_of,
    row_of,
    state,
    turned,
    ways,
)

FRACTION, COUNT, LENGTH = st.floats(0, 1), st.integers(0, 400), st.floats(0.5, 3000)
PLACE = st.sampled_from(list(PLACES))
KINDS = {
    "cmc": {
        "fibre_volume_fraction": FRACTION, "n_fibres": COUNT, "mean_diameter_px": LENGTH, "binder_fraction": FRACTION,
        "binder_place": PLACE, "n_cracks": COUNT,
    },
    "rocks": {
        "porosity": FRACTION, "n_grains": COUNT, "mean_grain_diameter_px": LENGTH, "mineral_fraction": FRACTION,
        "outside_fraction": FRACTION, "tube_place": PLACE,
    },
    "roots": {
        "total_length_px": LENGTH, "n_main": COUNT, "n_laterals": COUNT, "n_tips": COUNT, "mean_width_px": LENGTH,
        "root_area_fraction": FRACTION,
    },
    "real": {
        "clay_area_fraction": FRACTION, "pores_area_fraction": FRACTION,
        "dense_mineral_area_fraction": FRACTION, "n_pores": COUNT, "n_cavities": COUNT,
        "mean_pore_diameter_px": LENGTH, "clay_place": PLACE, "temperature": LENGTH,
    },
    "grey": {
        "mean_grey_level": FRACTION, "contrast": FRACTION, "correlation_length_px": LENGTH, "alignment": FRACTION,
    },
}  # fmt: skip


@st.composite
def some_properties(draw):
    kind = draw(st.sampled_from(list(KINDS)))
    return draw(st.fixed_dictionaries({}, optional=KINDS[kind]))


def is_true(fact, properties):
    """Read off the words what can be, independently of how they were made."""
    value = properties[fact.property]
    if fact.how == "place":
        return fact.value == value and re.search(rf"\b{value}\b", fact.said) is not None
    if fact.how == "presence":
        denied = re.search(r"\b(no|without|uncracked|entirely)\b", fact.said) is not None
        return fact.value is (value > 0) and denied is not fact.value
    if fact.how == "word":
        low, high = fact.value
        return (low is None or low <= value) and (high is None or value < high)
    digits = re.findall(r"[\d.]+", fact.said)
    if fact.how == "count":
        words = re.split(" ", "no one two three four five six seven eight nine ten eleven twelve")
        return fact.value == value == (int(digits[0]) if digits else words.index(fact.said.split()[0]))
    scale = 100 if "percent" in fact.said else 1
    decimals = len(digits[0].partition(".")[2])
    said = float(digits[0]) / scale
    return fact.value == pytest.approx(said) and abs(said - value) <= 0.501 * 10**-decimals / scale


@given(some_properties(), st.integers(0, 2**32))
def test_every_fact_is_in_the_sentence_and_true(properties, seed):
    for sentence, facts in (
        describe("X-ray slice of a sample", properties, np.random.default_rng(seed)),
        state("X-ray slice of a sample", properties),
    ):
        assert sentence[0].isupper() and sentence.endswith(".") and "  " not in sentence and "{" not in sentence
        rest = sentence
        for fact in facts:
            assert fact.said in rest and is_true(fact, properties)
            rest = rest.replace(fact.said, "", 1)
        assert len({fact.property for fact in facts}) == len(facts)
        assert facts or not any(ways(*pair) for pair in properties.items())
        # nothing is said that is not a fact, so nothing can contradict one
        assert re.fullmatch(r"X-ray slice of a sample(,| and|\s)*\.", rest)


@given(st.integers(0, 2**32), st.data())
def test_a_word_has_the_numbers_of_one_property_in_one_unit(seed, data):
    kind = data.draw(st.sampled_from(list(KINDS)))
    properties = data.draw(st.fixed_dictionaries(KINDS[kind]))
    for sentence, facts in (
        describe("microCT image of a sample", properties, np.random.default_rng(seed)),
        state("microCT image of a sample", properties),
    ):
        expected = []
        for fact in facts:
            expected += [(word, number) for word, number, _, _ in _numbers(fact.said.lower())]
        found = [(word, number) for word, number, _, _ in _numbers(sentence.lower())]
        assert found == expected
        assert len({word for word, _ in found}) == len(found)


def test_a_property_keeps_its_word_and_unit_over_all_phrases():
    owner = {}
    for name, row in ROWS.items():
        values = [0, 1, 2, 7, 30] if row.count else [0.31, 0.62, 12.0]
        for fact in (fact for value in values if not row.places for fact in ways(name, value)):
            for word, number, _, _ in _numbers(fact.said):
                scale = number / fact.value if fact.value else None
                assert scale is None or owner.setdefault(word, (name.replace("grain_", ""), round(scale))) == (
                    name.replace("grain_", ""),  # fibres and grains share "diameter", in two materials
                    round(scale),
                ), fact


@example(0.0)
@given(st.floats(0, 1))
def test_something_can_be_said_of_every_value(value):
    for name, row in ROWS.items():
        if row.places:
            assert ways(name, "left")
        else:
            assert ways(name, int(10 * value) if row.count else value)


def test_the_complete_sentence_reads_as_such():
    properties = {"fibre_volume_fraction": 0.5312, "n_fibres": 24, "binder_fraction": 0.308, "n_cracks": 1}
    sentence, facts = state("slice of a composite", properties)
    assert sentence == (
        "Slice of a composite, fibre volume fraction 0.53, 24 fibres, binder share 31 percent, number of cracks 1."
    )
    assert facts[2] == Fact("binder_fraction", 0.31, "number", "binder share 31 percent")


def test_describe_varies_and_says_at_least_one_fact():
    properties = {"porosity": 0.31, "mineral_fraction": 0.0, "n_grains": 3}
    made = [describe("slice", properties, np.random.default_rng(k), 0.9) for k in range(60)]
    assert min(len(facts) for _, facts in made) == 1 and len({sentence for sentence, _ in made}) > 12
    hows = {fact.how for _, facts in made for fact in facts}
    assert hows == {"number", "word", "count", "presence"}
    again = describe("slice", properties, np.random.default_rng(7), 0.9)
    assert again == made[7]


def test_classes_of_real_images():
    assert ways("n_cavities", 1)[-1].said == "one cavity"
    assert ways("dense_mineral_area_fraction", 0.31)[0].said == "dense-mineral-fraction 0.310"
    assert row_of("clay_area_fraction") == row_of("clay_area_fraction")
    assert ways("porosity", float("nan")) == []
    with pytest.raises(ValueError, match="no place: give one of right"):
        ways("clay_place", "nowhere")


@pytest.mark.parametrize("name", list(PLACES))
def test_places(name):
    region = np.zeros((60, 40), bool)
    rows = (
        slice(0, 20)
        if re.search("upper|top", name)
        else slice(40, 60)
        if re.search("lower|bottom", name)
        else slice(20, 40)
    )
    columns = slice(0, 13) if "left" in name else slice(27, 40) if "right" in name else slice(13, 27)
    region[rows, columns] = True
    assert place_of(region) == name
    assert place_of(np.zeros((4, 4), bool)) is None


def test_instructions():
    assert instructions(["add_crack"])[0] == "Add a crack."
    both = instructions(["add_crack", "remove_binder"])
    assert both[0] == "Add a crack and remove the binder." and len(both) == 4
    assert instructions(["more_pores", "add_mineral"])[0] == "Raise the porosity and add bright minerals."
    assert all(len(set(texts)) == len(texts) >= 3 for texts in INSTRUCTIONS.values())


@pytest.mark.parametrize("code", range(8))
@pytest.mark.parametrize("name", list(PLACES))
def test_what_is_said_of_a_place_turns_with_the_image(name, code):
    down = 2 * (("lower" in name or name == "bottom") - ("upper" in name or name == "top")) + 2
    right = 2 * (name.endswith("right") - name.endswith("left")) + 2
    region = np.zeros((5, 5), bool)
    region[down, right] = True
    text = f"Binder {PLACES[name]}, no cracks."
    assert turned(text, code) == f"Binder {PLACES[place_of(turn(region, code))]}, no cracks."
    assert turned("grains left and right, to the left", code) == "grains left and right, to the left"
