"""Specifications of images, taken apart."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veridical.core.errors import InputError
from veridical.data.spec import HOLDERS, parse_spec


def test_what_exists_is_a_plain_path(tmp_path):
    for name in ("a?channel=0", "a.h5:b", "plain"):
        path = tmp_path / name
        path.touch()
        assert parse_spec(path) == (path, None, {})


@given(
    stem=st.text("abc/ .µ:", min_size=1, max_size=8),
    suffix=st.sampled_from(HOLDERS),
    inside=st.text("abc/", min_size=1, max_size=8),
    options=st.dictionaries(
        st.text("abc", min_size=1, max_size=4), st.text("012abc", min_size=1, max_size=4), max_size=3
    ),
)
def test_the_parts_come_back(stem, suffix, inside, options):
    query = "&".join(f"{name}={value}" for name, value in options.items())
    text = f"/nosuch/{stem}{suffix}:{inside}" + (f"?{query}" if query else "")
    assert parse_spec(text) == (Path(f"/nosuch/{stem}{suffix}"), inside, options)


@pytest.mark.parametrize("query", ["", "channel", "channel=", "channel=1&channel=2", "&"])
def test_options_without_sense_are_refused(query):
    with pytest.raises(InputError, match="write for example"):
        parse_spec(f"scan.tif?{query}")


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000])
def test_names_that_no_file_can_have(name):
    assert parse_spec(name).path == Path(name)
