"""What the files of a bench folder hold, as types that they are checked by when they are read.

Keys may be missing, of an older version or where a bench is at work; a key that is there has its type. Numbers are finite and
names are those of files, as in a specification.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, FiniteFloat
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from veridical.core.limits import LARGEST_TILE
from veridical.core.text import is_name

MOST_CELLS = 100_000


def _name(text: str) -> str:
    if not is_name(text):
        raise ValueError("it is no name of a file or folder")
    return text


def _system(text: str) -> str:
    """``NAME-seedK``, the folder of a cell."""
    name, _, seed = text.rpartition("-seed")
    if not seed.isdecimal():
        raise ValueError("it is no name of a system and its seed")
    _name(name)
    return text


Name = Annotated[str, AfterValidator(_name)]
System = Annotated[str, AfterValidator(_system)]
Count = Annotated[int, Field(ge=0, le=2**53)]
Amount = Annotated[FiniteFloat, Field(ge=0)]
Value = float | None  # of a result: NaN is told as a reason


class Entry(TypedDict, total=False):
    """A system, in ``spec.json``."""

    recipe: str
    args: dict[str, Any] | None
    datasets: list[Name] | None
    seeds: list[Count] | None
    first: dict[str, Name] | None
    needs: list[str] | None
    family: str | None
    task: str | None
    summary: str | None
    citation: str | None


class EditEntry(TypedDict, total=False):
    """A system of edits, in ``spec.json``."""

    how: str
    run: str
    prompt: str
    mask: bool
    settings: dict[str, Any]
    sampling: dict[str, Any]
    datasets: list[Name]
    seeds: list[Count] | None
    group: str
    citation: str


class Asked(TypedDict, total=False):
    """How the truth of edits is measured, in ``spec.json``."""

    pairs: Count
    learn: Count
    prompts: Count
    images: Count
    steps: Count
    seed: Count
    judge: str


class Plan(TypedDict, total=False):
    """``spec.json``; without `datasets` it is not of a bench."""

    title: str | None
    size: Annotated[int, Field(ge=1, le=LARGEST_TILE)] | None
    minutes: Amount | None
    steps: Count | None
    samples: Count | None
    tiles: Count | None
    seeds: list[Count] | None
    jobs: Count | None
    budget: dict[str, FiniteFloat | None] | None
    datasets: dict[Name, dict[str, Any] | str]
    recipes: dict[Name, Entry]
    stages: dict[Name, Entry]
    edits: dict[Name, EditEntry]
    changes: dict[Name, list[dict[str, str] | str]]
    truth: Asked
    version: str | None
    created: str | None


class Status(TypedDict, total=False):
    """``status.json`` of a cell."""

    state: Literal["running", "done", "failed", "skipped"]
    reason: str | None


class ResultRow(TypedDict, total=False):
    """One of ``rows.json``."""

    recipe: str
    dataset: str
    seed: Count
    metric: Annotated[str, Field(min_length=1)]
    value: Value
    low: Value
    high: Value
    n: Count | None
    floor: Value
    reason: str | None
    remark: str | None
    settings: dict[str, Any] | None


class Difference(TypedDict):
    """One of ``differences.json`` of a dataset: the headline of the other system less that of the system."""

    system: str
    seed: Count
    other: str
    other_seed: Count
    value: Value
    low: Value
    high: Value


class Tau(TypedDict):
    """How well a score ranks systems as the truth does, of ``worth.json``."""

    score: str
    truth: str
    value: FiniteFloat | None
    low: FiniteFloat | None
    high: FiniteFloat | None
    n: Count
    reason: str | None


class Case(TypedDict):
    """A system that a score praises and the truth does not, of ``worth.json``."""

    score: Name
    system: System
    value: FiniteFloat
    good: Amount
    better: Count
    systems: Count
    image: Count


class Worth(TypedDict, total=False):
    """``worth.json`` of a dataset."""

    n: Count
    systems: list[str]
    taus: list[Tau]
    cases: list[Case]


class Told(TypedDict, total=False):
    """``pairs.json``: what was asked of the images to edit."""

    names: list[str]
    prompts: list[str]
    instructions: list[str]
    source_prompts: list[str]


class Paid(TypedDict, total=False):
    """What answers of a server took, in ``cost.json``."""

    requests: Count
    seconds: Amount
    usage: dict[str, Count] | None


class Spent(TypedDict, total=False):
    """``cost.json``."""

    parameters: Count | None
    train_seconds: Amount | None
    steps: Count | None
    steps_per_second: Amount | None
    first_steps_per_second: Amount | None
    batch: Count | None
    seconds_per_image: Amount | None
    peak_memory_mb: Amount | None
    device: str | None
    threads: Count | None
    evaluations: Amount | None
    paid: Paid | None


class Found(TypedDict, total=False):
    """A finding of the audit."""

    defect: str
    title: str
    explanation: str


class Judged(TypedDict, total=False):
    """An image of the audit."""

    verdict: str
    findings: list[Found]


class Evidence(TypedDict, total=False):
    """The picture of the audit."""

    file: str


class Audited(TypedDict, total=False):
    """``audit.json``."""

    verdict: str | None
    lead: str | None
    reason: str | None
    evidence: Evidence | None
    findings: list[Found]
    images: list[Judged]
    first: dict[str, Count]


class Window(TypedDict):
    """The intensity window of a dataset."""

    low: FiniteFloat
    high: FiniteFloat


class Summary(TypedDict, total=False):
    """``summary.json`` of a dataset."""

    spec: str | None
    kind: str | None
    slices: Count | None
    shapes: list[Annotated[list[Count], Field(min_length=2)]] | None
    dtype: str | None
    channels: Count | None
    pixel_size: Amount | None
    scale: Amount | None
    window: Window | None
    augment: str | None
    split: dict[str, Any] | str | None
    labels: dict[str, Any] | None
    notes: list[str] | None
    fingerprint: str | None


class Nearest(TypedDict):
    """``nearest.json``: a list a key, one entry a sample."""

    sample: list[Count]
    left: list[int]
    top: list[int]
    name: list[str]
    distance: list[FiniteFloat]
    test_distance: list[FiniteFloat]


class Record(TypedDict):
    """A line of ``log.jsonl``."""

    step: Count
    seconds: Amount
    loss: dict[str, Annotated[float, Field(strict=True)]]
