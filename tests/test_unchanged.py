"""What veridical computes is what it was when ``recording.json`` was made.

Numbers are compared to a tolerance that another CPU keeps to, hashes on the machine of the recording alone (see
`recording.machine`). Where results are meant to change, ``python tests/recording.py`` makes the recording anew, and the
changelog names what changed, and why: `git diff` of the recording shows which recipes and rows it is.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from recording import (
    FILE,
    NUMBER,
    distance,
    in_child,
    machine,
    one_thread,
    recipe_facts,
    report_facts,
)
from toy import write_tiles
from veridical.recipes.table import RECIPES

RECORDING = json.loads(FILE.read_text(encoding="utf-8"))
SAME_MACHINE = RECORDING["machine"] == machine()
CLOSE = 1e-3  # of the size of a number
SMALL = 1e-4  # what a number near zero may move
SAMPLES, PIXEL = 0.02, 0.05  # of the deviation of the samples: what a few steps make may amplify rounding


def differences(was: Any, now: Any, where: str = "") -> Iterator[str]:
    """Where `now` is not what `was`: text, whole numbers and order to the letter, numbers and those in text nearly."""
    if isinstance(was, dict) and isinstance(now, dict):
        if was.keys() != now.keys():
            yield f"{where}: {sorted(was)} are now {sorted(now)}"
        for key in was.keys() & now.keys():
            yield from differences(was[key], now[key], f"{where}/{key}")
    elif isinstance(was, list) and isinstance(now, list):
        if len(was) != len(now):
            yield f"{where}: {len(was)} entries are now {len(now)}"
        for k, (one, other) in enumerate(zip(was, now, strict=False)):
            yield from differences(one, other, f"{where}/{k}")
    elif isinstance(was, str) and isinstance(now, str):
        if NUMBER.sub("#", was) != NUMBER.sub("#", now) or not all(
            abs(_number(one) - _number(other)) <= _last_digit(one) + CLOSE * abs(_number(one))
            for one, other in zip(NUMBER.findall(was), NUMBER.findall(now), strict=True)
        ):
            yield f"{where}: {was!r} is now {now!r}"
    elif isinstance(was, float) and isinstance(now, float):
        if not abs(was - now) <= CLOSE * abs(was) + SMALL:
            yield f"{where}: {was} is now {now}"
    elif was != now:
        yield f"{where}: {was!r} is now {now!r}"


def _number(text: str) -> float:
    return float(text.replace("−", "-").replace("\u202f", ""))


def _last_digit(text: str) -> float:
    """What rounding may change of a number as it is written; whole numbers below a hundred are counts."""
    decimals, power = re.search(r"(?:\.(\d+))?(?:e(.*))?$", text).groups()
    if not decimals:
        return float(abs(_number(text)) >= 100)
    return 1.01 * 10.0 ** (int(power or 0) - len(decimals))


def assert_same(was: Any, now: Any) -> None:
    found = list(differences(was, json.loads(json.dumps(now))))
    assert not found, "\n".join(found[:20])


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_tiles(tmp_path_factory.mktemp("recording") / "data", conditions=True)


def test_every_recipe_is_recorded():
    assert list(RECORDING["recipes"]) == list(RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_trains_and_samples_as_it_did(name, data, tmp_path):
    was = RECORDING["recipes"][name]
    with one_thread():
        now = recipe_facts(name, data, tmp_path)
    assert now["keys"] == was["keys"], f"tensors have other names: {list(now['mean'])}"
    assert now["bytes"] == was["bytes"]
    was = was | {kind: dict(zip(now["mean"], was[kind], strict=True)) for kind in ("mean", "std")}
    moved = {key: distance(was, now, key) for key in was["mean"]}
    steady = set(moved) - set(RECORDING["unsteady"].get(name, ()))
    assert not {key: far for key, far in moved.items() if key in steady and not far <= CLOSE}
    before, after, spread = was["samples"], now["samples"], was["samples"]["std"]
    for kind in ("mean", "std"):
        assert abs(after[kind] - before[kind]) <= SAMPLES * spread
    np.testing.assert_allclose(after["pixels"], before["pixels"], rtol=0, atol=PIXEL * spread)
    if SAME_MACHINE and was["weights_sha256"] is not None:  # recorded on another
        assert now["weights_sha256"] == was["weights_sha256"], "weights differ in their last bits"
        assert now["samples_sha256"] == was["samples_sha256"], "samples differ in their last bits"


@pytest.mark.parametrize("name", ["score", "audit"])
def test_scores_and_audit_say_what_they_did(name):
    was, now = RECORDING[name], in_child(name)
    assert_same(was | {"sha256": None}, now | {"sha256": None})
    if SAME_MACHINE:
        assert now["sha256"] == was["sha256"], "numbers differ in their last bits"


@pytest.mark.long
def test_the_report_says_what_it_did(tmp_path):
    was, now = RECORDING["report"], report_facts(tmp_path)
    assert_same(was["text"], now["text"])
    assert now["shape_sha256"] == was["shape_sha256"], "the page is built otherwise: its markup or its style"
    if SAME_MACHINE and was["sha256"] is not None:
        assert now["sha256"] == was["sha256"], "numbers differ in their last digits"


def test_numbers_are_told_from_what_another_cpu_makes_of_them():
    was = {"value": 0.25, "n": 30, "said": "0.042 (−0.01–0.05) of 1\u202f234 at 3 places", "none": None}
    assert not list(differences(was, was | {"value": 0.2501, "said": "0.043 (−0.01–0.05) of 1\u202f234 at 3 places"}))
    for change in (
        {"value": 0.26}, {"value": None}, {"n": 31}, {"none": 0.0}, {"said": "0.052 (−0.01–0.05) of 1\u202f234 at 3 places"},
        {"said": "0.042 (−0.01–0.05) of 1\u202f234 at 4 places"}, {"said": "0.042 (0.01–0.05) of 1\u202f234 at 3 places"},
        {"said": "0.042 (−0.01–0.05) of 1\u202f234 in 3 places"}, {"more": 1},
    ):  # fmt: skip
        assert list(differences(was, was | change)), change
