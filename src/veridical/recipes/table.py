"""The table of systems: one row each."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from typing import Any

from torch import nn

from veridical.conditions.table import SIZES
from veridical.core.errors import InputError
from veridical.core.parse import listed, value_of
from veridical.core.settings import check_value, made_of, types_of
from veridical.recipes import classical, diffusion, gan, text, vae
from veridical.recipes.config import TrainConfig
from veridical.recipes.recipe import Recipe

RECIPES: dict[str, Recipe] = {**classical.ROWS, **vae.ROWS, **gan.ROWS, **diffusion.ROWS, **text.ROWS}


def find(name: str) -> Recipe:
    """Return the row called `name`; an `InputError` suggests the nearest name."""
    if name not in RECIPES:
        near = difflib.get_close_matches(name, RECIPES, n=1, cutoff=0.3)
        hint = f"did you mean {near[0]!r}?" if near else "see `veridical recipes`."
        raise InputError(f"there is no recipe {name!r}: {hint}")
    return RECIPES[name]


def find_drawing(name: str) -> Recipe:
    """The row called `name`; an `InputError` for a system that draws no images."""
    row = find(name)
    if not row.draws:
        raise InputError(f"{name} draws no images: it tells how near images and words are; use `veridical find`.")
    return row


def sampling_arguments(recipe: str, given: dict[str, Any]) -> dict[str, Any]:
    """What the user wants changed of how a trained model samples, text converted to the type of the default.

    Raises
    ------
    InputError
        For what is no such argument.
    """
    row = find(recipe)
    for name in given:
        if name not in row.sampling:
            known = f"it has {', '.join(row.sampling)}" if row.sampling else "it has none"
            raise InputError(f"{recipe} has no sampling setting {name!r}: {known}; others are set when it is trained.")
    return {k: _value(row, k, v) for k, v in given.items()}


def _value(row: Recipe, name: str, value: Any) -> Any:
    """The argument `name`, text converted to the type of its default value, within the limits of its dataclass.

    Of one that has none its default tells where it may lie: what is counted is at least 1, unless it or the builder's is 0 by
    default, and other numbers are not negative, unless they are by default.
    """
    default, off, kind = row.arguments()[name], row.complete({})[name] == 0, row.kind_of(name)
    value = value_of(name, value, default)
    if kind is not None:
        check_value(kind, name, value)
        return value
    for one, usual in zip(*(v if isinstance(v, tuple | list) else (v,) for v in (value, default)), strict=False):
        if type(usual) in (int, float) and usual >= 0 and type(one) in (int, float):
            least = 1 if type(usual) is int and usual and not off else 0
            if not least <= one < math.inf:
                raise InputError(
                    f"{name}={value} cannot be: give {'numbers' if one is not value else 'a number'} from {least} on."
                )
    return value


def settings(recipe: str, given: dict[str, Any]) -> tuple[TrainConfig, dict[str, Any]]:
    """Sort what the user gave into training settings and model arguments.

    Parameters
    ----------
    recipe : str
    given : dict
        Names to values; text is converted to the type of the default. None means not given.

    Raises
    ------
    InputError
        For a name that neither knows, text of the wrong type, or values that do not fit together.
    """
    row = find(recipe)
    types = types_of(TrainConfig)
    arguments = row.arguments()
    config, args = dict(row.train), dict(row.args)
    for name, value in given.items():
        if value is None:
            continue
        if name in types:
            config[name] = value_of(name, value, types[name])
        elif name in arguments:
            if name in SIZES:
                raise InputError(f"{name} are those of the data: {SIZES[name]}.")
            args[name] = _value(row, name, value)
        else:
            raise InputError(f"{recipe} has no setting {name!r}: it has {', '.join(arguments)} and {', '.join(types)}.")
    if config.get("steps") is None and config.get("minutes") is None:
        config["minutes"] = 10.0
    for kind in row.kinds.values():  # what does not fit together is said before a first stage is trained
        made_of(kind, row.arguments() | args)
    return TrainConfig(**config), args


def build(
    recipe: str,
    channels: int,
    size: int,
    args: dict[str, Any] | None = None,
    stages: Mapping[str, nn.Module] | None = None,
) -> nn.Module:
    """Build an untrained model.

    Parameters
    ----------
    recipe : str
        A name in `RECIPES`.
    channels : int
        1 (grey) or 3 (RGB).
    size : int
        Side of the images in pixels.
    args : dict, optional
        Arguments that differ from the recipe's.
    stages : mapping of str to nn.Module, optional
        Trained stages by name, for recipes that have some; those that are not given are untrained.

    Raises
    ------
    InputError
        Unknown recipe or argument, or a size or arguments that the network cannot have.
    """
    row = find(recipe)
    args = {**row.args, **(args or {})}
    unknown = set(args) - set(row.arguments())
    if unknown:
        raise InputError(f"{recipe} has no argument {sorted(unknown)[0]!r}: it has {', '.join(row.arguments())}.")
    given = dict(stages or {})
    held = {
        name: given[name]
        if name in given
        else build(stage.recipe, channels, size, settings(stage.recipe, stage.args)[1])
        for name, stage in row.first.items()
    }
    own = row.arguments()
    changed = {k: v for k, v in args.items() if k not in SIZES and listed(v) != listed(own[k])}
    try:
        return row.make(channels, size, held, args)
    except InputError:
        raise
    except (ValueError, TypeError, KeyError, IndexError, ArithmeticError, RuntimeError) as error:
        if not changed:
            raise
        said = ", ".join(f"{k}={v!r}" for k, v in changed.items())
        why = str(error).partition("\n")[0]
        raise InputError(
            f"{recipe} cannot be built with {said} ({why}): leave it out, or give other values."
        ) from error
