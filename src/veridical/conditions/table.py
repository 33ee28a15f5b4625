"""The table of conditions, and the settings of data: one file and a row each."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

from veridical.conditions.before import BEFORE
from veridical.conditions.block import BLOCK
from veridical.conditions.condition import Condition, Option
from veridical.conditions.hint import HINT, HintSettings
from veridical.conditions.label import LABEL, LabelSettings
from veridical.conditions.labelling import LABELLING, LabellingSettings
from veridical.conditions.mask import MASK
from veridical.conditions.objects import OBJECTS
from veridical.conditions.source import SOURCE, SourceSettings
from veridical.conditions.text import TEXT, TextSettings

CONDITIONS: dict[str, Condition] = {
    row.name: row for row in (LABEL, LABELLING, MASK, SOURCE, TEXT, BEFORE, HINT, BLOCK, OBJECTS)
}

# Network arguments that follow from the data, and how a user can change them.
SIZES: dict[str, str] = {name: how for row in CONDITIONS.values() for name, how in row.sizes.items()}


@dataclass(frozen=True)
class DataSettings(HintSettings, TextSettings, SourceSettings, LabellingSettings, LabelSettings):
    """All settings that concern data: what command line, bench, first stages, resuming and sampling read."""


DATA_SETTINGS: tuple[str, ...] = tuple(f.name for f in dataclasses.fields(DataSettings))


def options() -> dict[str, Option]:
    """What users may say of samples, by name; some of it serves several conditions."""
    return {option.name: option for row in CONDITIONS.values() for option in row.options}


def needed(names: Iterable[str]) -> list[Condition]:
    """Rows of the conditions `names`, in the order of the table."""
    names = set(names)
    return [row for row in CONDITIONS.values() if row.name in names]


def arrays_of(names: Iterable[str]) -> list[str]:
    """Names of the arrays of the conditions `names`."""
    return [array for row in needed(names) for array in row.arrays]
