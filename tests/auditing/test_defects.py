"""One defect, one row: made-up defects that are rows and nothing else are found, explained, planted and shown."""

from dataclasses import replace
from unittest import mock

import numpy as np
import pytest

from toy import texture
from veridical.auditing.case import patches_alone
from veridical.auditing.defects import DEFECTS, Defect, Plant, Score, Shift, plant
from veridical.auditing.verdict import audit
from veridical.reporting.audit_text import summary


def black_edge(images, severity, rng):
    """One edge of each image is black, so many pixels wide."""
    images, width = images.copy(), round(severity)
    for image in images:
        edge = slice(0, width) if rng.integers(2) else slice(-width, None)
        if rng.integers(2):
            image[:, edge] = 0
        else:
            image[..., edge] = 0
    return images


def edge_score(case):
    """Places along one edge are strange, and those inside are not."""

    def excess(near):
        places = np.log(patches_alone(near) + 1e-6)
        places = places.reshape(len(places), round(places.shape[1] ** 0.5), -1)
        edges = np.stack([places[:, 0], places[:, -1], places[:, :, 0], places[:, :, -1]], 1).mean(2)
        return edges.max(1) - places[:, 1:-1, 1:-1].mean((1, 2))

    return case.deviations(excess(case.near), excess(case.real_near))


def brighter(sets, severity, rng):
    values = sets.synth.values
    shifted = values["mean"] + severity * sets.real.values["mean"].std()
    return replace(sets, synth=replace(sets.synth, values=values | {"mean": shifted}))


MADE_UP = {
    "black_edge": Defect(
        "image", "one edge is black", "tone", ("saturated",), Score(edge_score, 1.0),
        plant=Plant(black_edge, (1.0, 2.0, 4.0), "pixels of black edge"),
    ),
    "another_light": Defect(
        "set", "images are brighter or darker on average", "tone", ("mean",), test=Shift(lambda x: x.table(("mean",))),
        plant=Plant(lambda images, severity, rng: images + severity, (0.02, 0.05, 0.1), "of the range brighter"),
        alter=Plant(brighter, (0.5, 1.0, 2.0), "standard deviations brighter"),
    ),
}  # fmt: skip


USED = ("saturated", "blur", "unlikely", "mode_collapse", "property_shift")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def rows():
    """A table of some rows, which is faster, and the made-up ones."""
    kept = {name: DEFECTS[name] for name in DEFECTS if name in USED}
    with mock.patch.dict(DEFECTS, kept | MADE_UP, clear=True):  # gives back what was there in its order
        yield


def test_a_row_is_found_explained_planted_and_shown(rows, cache, tmp_path):
    real, held_out = texture(32, 32), texture(16, 32, seed=1)
    report = audit(real, plant("black_edge", held_out, 2.0), cache=cache, pictures=tmp_path)
    finding = report["findings"][0]
    assert report["verdict"] == "fail" and finding["defect"] == "black_edge"
    assert finding["explanation"].startswith("one edge is black: on average the share of black and white")
    firsts = [image["findings"][0]["defect"] for image in report["images"] if image["findings"]]
    assert firsts.count("black_edge") >= 14
    assert finding["title"] == "black edge" and "black edge (black_edge, p <= " in summary(report)
    assert "Image" not in report["lead"][1:] and "black edge" in report["lead"]
    assert (tmp_path / "evidence.png").is_file() and report["evidence"]["images"][0]["shows"] == "black edge"
    passed = audit(real, held_out, cache=cache)
    caught = {row["defect"]: row for row in passed["power"]}
    assert passed["verdict"] == "pass" and caught["black_edge"]["severity"] in (1.0, 2.0, 4.0)
    assert caught["another_light"]["level"] == "set" and caught["another_light"]["severity"] is not None
    assert "black edge (image), from" in summary(passed) and "standard deviations brighter" in summary(passed)


def test_a_row_of_sets_is_found_under_its_name(rows, cache):
    bright = plant("another_light", texture(16, 32, seed=1), 0.05)
    found = {f["defect"]: f for f in audit(texture(32, 32), bright, power=False, cache=cache)["findings"]}
    assert found["another_light"]["level"] == "set" and "mean grey level" in found["another_light"]["explanation"]
