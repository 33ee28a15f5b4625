"""The fuzzer makes the same cases again, of every kind, and knows a wrong end; `make fuzz` runs it."""

import random

import pytest

from fuzz import cases, damage
from fuzz.run import judge


@pytest.mark.parametrize("kind", cases.KINDS)
def test_a_case_depends_on_its_number_alone(tmp_path, kind):
    make, share = cases.KINDS[kind]
    made = [make(tmp_path, 0, k) for k in range(20)]
    assert 0 < share < 1 and len({str(case.arguments) for case in made}) > 1
    assert [make(tmp_path, 0, k).arguments for k in reversed(range(20))] == [case.arguments for case in made[::-1]]
    assert {case.arguments[0] for case in made} <= set(cases.COMMANDS)


def test_every_command_is_tried(tmp_path):
    assert set(cases.templates(tmp_path)) == set(cases.COMMANDS) - {"serve", "studio", "watch"}  # which do not end
    assert abs(sum(share for _, share in cases.KINDS.values()) - 1) < 1e-9


@pytest.mark.parametrize(
    ("code", "output", "seconds", "wrong"),
    [
        (0, "", 1, ""),
        (2, "veridical: a.png is damaged", 1, ""),
        (2, "", 1, "no sentence"),
        (1, "Aborted!", 1, "exit code 1"),
        (-11, "", 1, "signal 11"),
        (2, "Traceback (most recent call last):\n  File\nKeyError: 'a'", 1, "traceback: KeyError: 'a'"),
        (0, "", 61, "ran for"),
    ],
)
def test_a_wrong_end_is_known(code, output, seconds, wrong):
    found = judge(code, output, seconds, 0)
    assert found.startswith(wrong) if wrong else not found


def test_damage_changes_what_it_is_given():
    rng = random.Random(0)
    content = {"a": [1, {"b": 2.0}], "c": "text"}
    assert sum(damage.changed(content, rng) != content for _ in range(50)) > 45
    assert sum(damage.junk(bytes(range(200)), rng) != bytes(range(200)) for _ in range(50)) > 45
    assert content == {"a": [1, {"b": 2.0}], "c": "text"}
