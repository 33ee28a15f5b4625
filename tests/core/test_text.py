"""Text of users acts on no terminal and hides in no page; the package's own words stay."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from veridical.core.text import short, shown

ANY = st.text(st.characters(codec=None, categories=("L", "N", "P", "S", "Zs", "Cc", "Cf", "Cs", "Zl", "Zp")))


@given(ANY)
def test_nothing_acts_or_hides(text):
    seen = shown(text)
    seen.encode()
    acting = {"Cc", "Cs", "Zl", "Zp"}
    assert not any(unicodedata.category(c) in acting or unicodedata.bidirectional(c) in ("RLO", "LRO") for c in seen)
    assert shown(seen) == seen and len(seen) >= len(text)
    assert shown(text, lines=True).count("\n") == text.count("\n")


def test_what_is_shown_of_each():
    assert shown("a\x1b[31m\nb\udcff\u202e\t") == r"a\x1b[31m\x0ab\xff\u202e\x09"
    assert shown("a\nb\t", lines=True) == "a\nb\t"
    assert shown("Größe 3 µm – [old] 中文") == "Größe 3 µm – [old] 中文"


def test_long_values_are_said_by_their_beginning():
    assert short("a" * 5000) == "a" * 60 + "..." and short(3) == "3"
    assert short(10**5000) == "a number of thousands of digits"
