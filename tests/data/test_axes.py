"""Axes, channels and options: the images that a plan cuts are those that the letters say, or it refuses."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from veridical.core.errors import InputError
from veridical.data.axes import plan_axes

DTYPES = st.sampled_from(["uint8", "uint16", "float32"])


def images(array, plan):
    return [plan.image(array[plan.index(k)]) for k in range(plan.count)]


def stored(letters, sizes, dtype="uint16"):
    """An array in which every value says where it is."""
    shape = [sizes[letter] for letter in letters]
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


def take(array, letters, **numbers):
    """The image at `numbers`, its axes y, x and s in order, independently of the plan."""
    index = tuple(numbers.get(letter, slice(None)) for letter in letters)
    left = [letter for letter in letters if letter not in numbers]
    return np.einsum(array[index], list(range(len(left))), [left.index(a) for a in "yxs" if a in left])


@given(
    letters=st.permutations("yxzt"),
    sizes=st.tuples(*[st.integers(5, 7)] * 2, st.integers(1, 4), st.integers(1, 4)),
    dtype=DTYPES,
)
def test_named_axes_in_any_order(letters, sizes, dtype):
    letters, sizes = "".join(letters), dict(zip("yxzt", sizes))
    array = stored(letters, sizes, dtype)
    plan = plan_axes("a", array.shape, letters, dtype=array.dtype)
    leading = [letter for letter in letters if letter in "zt"]
    expected = [
        take(array, letters, **dict(zip(leading, map(int, numbers))))
        for numbers in np.ndindex(*(sizes[letter] for letter in leading))
    ]
    got = images(array, plan)
    assert len(got) == plan.count == len(expected) and plan.channels == 1
    assert all(np.array_equal(a, b) for a, b in zip(got, expected))
    several = sizes["z"] > 1 and sizes["t"] > 1
    assert any("one after another" in note for note in plan.notes) == several
    assert any("points in time" in note for note in plan.notes) == (sizes["t"] > 1)
    one = plan_axes("a", array.shape, letters, dtype=array.dtype, options={"t": "0"})
    assert one.count == sizes["z"]
    assert np.array_equal(images(array, one)[0], take(array, letters, t=0, z=0))


@given(
    letters=st.permutations("yxcz"), channels=st.integers(2, 12), slices=st.integers(1, 3), dtype=DTYPES, data=st.data()
)
def test_named_channels_are_chosen_never_guessed(letters, channels, slices, dtype, data):
    letters = "".join(letters)
    array = stored(letters, {"y": 6, "x": 5, "c": channels, "z": slices}, dtype)
    names = [f"stain{k}" for k in range(channels)]
    keywords = {"dtype": array.dtype, "channel_names": names}
    with pytest.raises(InputError, match=rf"{channels} channels \(stain0, .*\?channel=stain0"):
        plan_axes("a", array.shape, letters, **keywords)
    k = data.draw(st.integers(0, channels - 1))
    for asked in (str(k), names[k], names[k].upper()):
        plan = plan_axes("a", array.shape, letters, **keywords, options={"channel": asked})
        assert (plan.count, plan.channels) == (slices, 1) and f"channel {k} (stain{k}) of {channels}" in plan.notes[0]
        for z, image in enumerate(images(array, plan)):
            assert np.array_equal(image, take(array, letters, c=k, z=z))
    for asked in (str(channels), "-1", "stain", "1.0"):
        with pytest.raises(InputError, match="no channel"):
            plan_axes("a", array.shape, letters, **keywords, options={"channel": asked})
    all_slices = plan_axes("a", array.shape, letters, **keywords, options={"axes": letters.replace("c", "q")})
    assert all_slices.count == channels * slices


@pytest.mark.parametrize(
    ("shape", "count", "channels"),
    [
        ((6, 7), 1, 1),
        ((6, 7, 3), 1, 3),
        ((6, 7, 4), 1, 3),
        ((6, 7, 1), 1, 1),
        ((20, 6, 7), 20, 1),
        ((20, 3, 6, 7), 20, 3),
        ((1, 3, 6, 7), 1, 3),
        ((20, 1, 6, 7), 20, 1),
        ((20, 6, 7, 1), 20, 1),
        ((20, 6, 7, 3), 20, 3),
        ((1, 1, 20, 6, 7), 20, 1),
        ((12, 20, 6, 7), 240, 1),
    ],
)
def test_shapes_without_letters(shape, count, channels):
    array = stored("abcdefgh"[: len(shape)], dict(zip("abcdefgh", shape)))
    plan = plan_axes("a", shape, dtype=array.dtype)
    assert (plan.count, plan.channels, plan.shape) == (count, channels, (6, 7))
    got = images(array, plan)
    assert all(image.shape == ((6, 7) if channels == 1 else (6, 7, 3)) for image in got)
    if shape[-3:-2] == (3,):
        assert np.array_equal(got[0], np.moveaxis(array[0], 0, -1)) and "red, green and blue" in plan.notes[0]


@pytest.mark.parametrize(
    "shape", [(5, 2, 30, 40), (3, 5, 30, 40), (2, 3, 20, 30, 40), (5, 7, 30, 40), (20, 30, 40, 2), (5,), (0, 4, 4), ()]
)
def test_shapes_that_may_be_several_things_are_refused(shape):
    with pytest.raises(InputError, match=r"\?axes=|axis|empty"):
        plan_axes("a", shape, dtype=np.dtype("uint16"))


@pytest.mark.parametrize("shape", [(2, 30, 40), (3, 30, 40), (4, 30, 40), (40, 40, 9)])
def test_a_shape_read_by_habit_is_noted(shape):
    plan = plan_axes("a", shape, dtype=np.dtype("uint8"))
    assert plan.count == shape[0] and "?axes=" in plan.notes[0]


def test_colours_by_name_by_wish_and_by_type():
    array = stored("cyx", {"c": 3, "y": 6, "x": 5})
    plan = plan_axes("a", array.shape, "cyx", dtype=array.dtype, channel_names=["Blue", "red", "green"])
    assert np.array_equal(images(array, plan)[0], np.moveaxis(array[[1, 2, 0]], 0, -1))
    wish = plan_axes(
        "a", array.shape, "cyx", dtype=array.dtype, channel_names=["a", "b", "c"], options={"channel": "rgb"}
    )
    assert np.array_equal(images(array, wish)[0], np.moveaxis(array, 0, -1))
    for dtype, colour in (("uint16", True), ("uint8", False)):
        with pytest.raises(InputError, match="3 channels"):
            plan_axes("a", array.shape, "cyx", dtype=np.dtype(dtype), colour=colour)
    assert plan_axes("a", array.shape, "cyx", dtype=np.dtype("uint8")).channels == 3


def test_long_unnamed_channels_are_slices_with_a_note():
    plan = plan_axes("a", (20, 6, 7), "cyx", dtype=np.dtype("uint16"), colour=False)
    assert plan.count == 20 and "20 channels" in plan.notes[0]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"chanel": "1"}, "no option chanel.*channel, axes, z"),
        ({"axes": "zy"}, "axes=zy"),
        ({"axes": "zzx"}, "axes=zzx"),
        ({"axes": "abc"}, "axes=abc"),
        ({"axes": "zy1"}, "axes=zy1"),
        ({"z": "20"}, "no number 20"),
        ({"z": "-1"}, "no number -1"),
        ({"channel": "1"}, "one channel"),
        ({"channel": "9" * 5000}, "one channel"),
    ],
)
def test_options_that_make_no_sense(options, said):
    with pytest.raises(InputError, match=said):
        plan_axes("a", (20, 6, 7), "zyx", dtype=np.dtype("uint16"), options=options)
