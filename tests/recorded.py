"""What `recording.json` holds, and comparisons of today's facts with it, to a tolerance that another CPU keeps to."""

import json
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from recording import FILE, NUMBER, distance, machine

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


def assert_recipe_as_recorded(name: str, now: dict[str, Any]) -> None:
    """Compare `recording.recipe_facts` of today with those of the recording."""
    was = RECORDING["recipes"][name]
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
