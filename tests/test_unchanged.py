"""What veridical computes is what it was when ``recording.json`` was made; of recipes `test_contract.py` says that.

Numbers are compared to a tolerance that another CPU keeps to, hashes on the machine of the recording alone (see
`recording.machine`). Where results are meant to change, ``python tests/recording.py`` makes the recording anew, and the
changelog names what changed, and why: `git diff` of the recording shows which recipes and rows it is.
"""

import os

import pytest

from recorded import RECORDING, SAME_MACHINE, assert_same, differences
from recording import FACTS, in_child, report_facts
from veridical.recipes.table import RECIPES


def test_every_recipe_is_recorded():
    assert list(RECORDING["recipes"]) == list(RECIPES)


@pytest.mark.parametrize("name", ["score", "audit"])
def test_scores_and_audit_say_what_they_did(name):
    alone = os.environ.get("OPENBLAS_NUM_THREADS") == "1"  # as `make test` has it: read when NumPy is imported
    was, now = RECORDING[name], FACTS[name]() if alone else in_child(name)
    assert_same(was | {"sha256": None}, now | {"sha256": None})
    if SAME_MACHINE and was["sha256"] is not None:  # None: recorded on another machine than the recipes
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
