"""What a run says of having been adapted from another, and the settings of the ways of doing so."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Field

from veridical.core.errors import InputError
from veridical.core.settings import check, setting

BASE = "base"  # the stage that was adapted


@dataclass(frozen=True)
class Lora:
    """Low-rank changes."""

    rank: int = setting(4, "Rank of the low-rank changes.", low=1, high=256)
    targets: tuple[str, ...] = setting(
        ("attention",), "Layers that are changed: attention, convolutions, or ends of their names, such as to_q."
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class Telling:
    """What images are told."""

    prompt: str = setting("", "What all images are told, in place of captions of their own.")

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class Word:
    """A new word."""

    word: str = setting("", "The new word, in letters that make no word yet.")
    like: str = setting("", "A known word that the new one begins as; empty: the mean of all.")

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class Prior:
    """What the base is to keep."""

    class_prompt: str = setting("", "Words for the kind of thing, which the base draws and is to go on drawing.")
    class_images: int = setting(64, "Images of these words that the base draws first.", low=1, high=10_000)
    class_share: float = setting(
        0.5, "Share of a batch that are such images: 0.5 is a weight of 1 for the prior.", above=0, below=1
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class Reward:
    """What is preferred, and how strongly."""

    by: str = setting(
        "audit",
        "What rates images: half of the audit's defects, a measured property, or a table of yours.",
        choices=("audit", "property", "table"),
    )
    property: str = setting("", "With by=property: which, such as phase_fraction.")
    target: float = setting(0.0, "With by=property: the value that images shall have.")
    ratings: str = setting("", "With by=table: CSV file with the columns image,rating of images that the base drew.")
    through: str = setting(
        "pairs",
        "pairs: of two drawn images one is preferred; gradient: with by=property, mean or phase_fraction, that of one step.",
        choices=("pairs", "gradient"),
    )
    candidates: int = setting(128, "Images that the base draws, to be rated and paired.", low=8, high=10_000)
    beta: float = setting(
        200.0, "How near to the base it stays (beta T of Diffusion-DPO); of pipelines of other people 2000.", above=0
    )
    keep: float = setting(0.1, "Weight of what changes of the base's predictions, squared.", low=0)
    rounds: int = setting(4, "How often what is held out is looked at.", low=1, high=100)
    tolerance: float = setting(
        0.05, "Training ends where the share of images that passes what is held out has fallen by more.", low=0, high=1
    )

    def __post_init__(self) -> None:
        check(self)
        if self.by == "property" and not self.property:
            raise InputError("by=property asks for a property: give --set property=phase_fraction --set target=0.3.")
        if self.through == "gradient" and self.by != "property":
            raise InputError("through=gradient is for by=property: add --set by=property --set property=mean.")
        if self.by == "table" and not self.ratings:
            raise InputError("by=table asks for ratings: give --set ratings=FILE.csv with the columns image,rating.")


@dataclass(frozen=True)
class Adaptation:
    """How a run was made of another one, or of a pipeline of other people.

    Attributes
    ----------
    how : str
        A row of `veridical.adapting.table.HOWS`.
    settings : dict
        Of that way.
    trained, whole : int
        Numbers that were trained, and of the whole model with them.
    pipeline : str
        The pipeline that was adapted, as ``hub:FOLDER``; empty: a run, which is the stage ``base``.
    sha256 : str
        Of the weights of what was adapted.
    found : dict
        What was measured on the way.
    """

    how: str
    settings: dict[str, Any]
    trained: Annotated[int, Field(strict=True, ge=0)]
    whole: Annotated[int, Field(strict=True, ge=1)]
    pipeline: str
    sha256: str
    found: dict[str, Any] = field(default_factory=dict)

    @property
    def share(self) -> float:
        """Of the model's numbers that was trained."""
        return self.trained / self.whole
