"""The report on bench folders of somebody else: damaged, or made to reach outside themselves."""

import json
import os
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench_folder import make_bench
from veridical.core.errors import InputError
from veridical.reporting.report import report

EXAMPLES = int(os.environ.get("VERIDICAL_FUZZ", "12"))  # damages that are tried
DEEP = json.loads("[" * 300 + "]" * 300)
WRONG = [
    None, True, -1, 10**400, 1e308, float("nan"), "", "../../x", "/etc/passwd", "a\udcff", "$\\frac$", "\x1b[31m<b>",
    [], [[1]], {}, {"a": 1}, DEEP,
]  # fmt: skip
CELL = ("status.json", "rows.json", "cost.json", "audit.json", "nearest.json")
FILES = ("spec.json", *(f"datasets/gravel/{name}" for name in ("summary.json", "test_groups.json")),
         *(f"cells/gravel/edm-seed0/{name}" for name in CELL))  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A small bench whose folder every test copies."""
    folder = tmp_path_factory.mktemp("whole") / "bench"
    make_bench(folder, {"gravel": "gravel"}, size=8)
    for recipe in ("vae", "dcgan", "latent_diffusion"):
        shutil.rmtree(folder / "cells" / "gravel" / f"{recipe}-seed0")
    spec = json.loads((folder / "spec.json").read_text())
    spec["recipes"] = {name: spec["recipes"][name] for name in ("random_phase", "edm")}
    (folder / "spec.json").write_text(json.dumps(spec))
    finding = {"defect": "blur", "explanation": "fine detail is missing"}
    images = [{"file": "k", "verdict": "fail", "findings": [finding]}]
    audit = {
        "verdict": "fail",
        "reason": None,
        "images": images,
        "findings": [finding],
        "evidence": {"file": "evidence.png"},
    }
    (folder / "cells" / "gravel" / "edm-seed0" / "audit.json").write_text(json.dumps(audit))
    return folder


@pytest.fixture
def bench(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "bench")


def places(content, at=()):
    """The keys on the way to everything in a JSON document, of lists the first entry only."""
    yield at
    inner = (
        content.items() if isinstance(content, dict) else enumerate(content[:1]) if isinstance(content, list) else ()
    )
    for key, value in inner:
        yield from places(value, (*at, key))


def damaged(content, at, value):
    """The document with another value at a place, and with another name where it is the name of something."""
    if not at:
        return value
    key, *rest = at
    if isinstance(content, dict):
        return content | {key: damaged(content[key], rest, value)}
    return [damaged(content[key], rest, value), *content[1:]]


@pytest.mark.long
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_report_of_damaged_files_is_a_page_or_a_sentence(whole, tmp_path_factory, data):
    folder = shutil.copytree(whole, tmp_path_factory.mktemp("damaged") / "bench")
    name = data.draw(st.sampled_from(FILES))
    content = json.loads((folder / name).read_text())
    at = data.draw(st.sampled_from(list(places(content))))
    value = data.draw(st.sampled_from(WRONG))
    broken = damaged(content, at, value)
    if at and isinstance(value, str) and data.draw(st.booleans()):
        *above, key = at
        broken = content
        inner = broken
        for step in above:
            inner = inner[step]
        if isinstance(inner, dict):
            inner[value] = inner.pop(key)
    (folder / name).write_text(json.dumps(broken))
    try:
        page = report(folder)
    except InputError as error:
        assert "spec.json" in str(error) and "\n" not in str(error)
    else:
        text = page.read_text(encoding="utf-8")
        assert "root:" not in text and "<b>" not in text.split("<main>")[0]
    assert sorted(os.listdir(folder.parent)) == ["bench"]
    shutil.rmtree(folder)


@pytest.mark.parametrize("name", ["../../x", "/tmp/x", "..", "", "a/b", "a\\b", "a\0", "x" * 300])
@pytest.mark.parametrize("key", ["datasets", "recipes"])
def test_names_that_lead_outside_are_refused(bench, key, name):
    spec = json.loads((bench / "spec.json").read_text())
    spec[key][name] = {"data": "x"} if key == "datasets" else {}
    (bench / "spec.json").write_text(json.dumps(spec))
    with pytest.raises(InputError, match=r"spec\.json: its (datasets|recipes)\..*no name of a file"):
        report(bench)
    assert not (bench / "report.html").exists() and os.listdir(bench.parent) == ["bench"]


@pytest.mark.parametrize(
    "where", ["/etc/passwd", "../../../../../secret", "findings/link.png", "findings/pipe.png", "."]
)
def test_evidence_is_a_picture_in_the_folder(bench, where):
    secret = bench.parent / "secret"
    secret.write_text("root: hidden")
    cell = bench / "cells" / "gravel" / "edm-seed0"
    (cell / "audit" / "findings").mkdir(parents=True)
    (cell / "audit" / "findings" / "link.png").symlink_to(secret)
    os.mkfifo(cell / "audit" / "findings" / "pipe.png")
    audit = json.loads((cell / "audit.json").read_text())
    audit["evidence"]["file"] = where
    (cell / "audit.json").write_text(json.dumps(audit))
    text = report(bench).read_text(encoding="utf-8")
    assert "Left out because it cannot be read" in text and "Evidence, scrolls" not in text


@pytest.mark.parametrize("name", ["figures/gravel-edm-tiles.png", "report.html", "tables/cost.csv"])
@pytest.mark.parametrize("kind", ["link out", "link in", "pipe"])
def test_nothing_is_written_through_links_and_pipes(bench, name, kind):
    secret, path = bench.parent / "secret", bench / name
    secret.write_text("kept")
    path.parent.mkdir(exist_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(secret if kind == "link out" else bench / "spec.json")
    before = (bench / "spec.json").read_bytes()
    with pytest.raises(InputError, match="take it away"):
        report(bench)
    assert secret.read_text() == "kept" and (bench / "spec.json").read_bytes() == before


@pytest.mark.parametrize("name", ["tables", "figures", "cells", "datasets", "spec.json"])
def test_folders_that_are_links_to_elsewhere(bench, name, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / name
    if (bench / name).exists():
        (bench / name).rename(elsewhere)
    else:
        elsewhere.mkdir()
    (bench / name).symlink_to(elsewhere)
    if name in ("cells", "datasets"):
        assert "leads out of the folder" in report(bench).read_text(encoding="utf-8")
    else:
        with pytest.raises(InputError, match="leads out of the folder"):
            report(bench)
        assert name == "spec.json" or not os.listdir(elsewhere)


OTHERS = ("datasets/gravel/test.npy", "cells/gravel/edm-seed0/samples.npy")


@pytest.mark.parametrize("kind", ["pipe", "junk", "empty", "endless"])
def test_what_is_no_file_of_a_bench_is_left_out(bench, kind):
    for name in (*FILES[1:], *OTHERS, "cells/gravel/edm-seed0/run/log.jsonl"):
        (bench / name).unlink()
        if kind == "pipe":
            os.mkfifo(bench / name)
        elif kind == "endless":
            (bench / name).symlink_to("/dev/zero")
        else:
            (bench / name).write_bytes(b"" if kind == "empty" else os.urandom(200))
    text = report(bench).read_text(encoding="utf-8")
    for name in (*FILES[1:], *OTHERS):
        if not name.endswith("nearest.json"):  # there are no samples that it could be of
            assert f"<li>{bench / name}" in text


def test_values_beyond_all_measure_are_no_numbers(bench):
    path = bench / "cells" / "gravel" / "edm-seed0" / "rows.json"
    rows = json.loads(path.read_text())
    for row in rows:
        row |= {"value": 1e308, "low": -1e308, "high": 1e308}
    path.write_text(json.dumps(rows))
    assert "is not a finite number" in report(bench).read_text(encoding="utf-8")


def test_more_cells_than_anybody_can_look_at(bench):
    spec = json.loads((bench / "spec.json").read_text())
    (bench / "spec.json").write_text(json.dumps(spec | {"seeds": list(range(60_000))}))
    with pytest.raises(InputError, match="120,000 cells"):
        report(bench)
