"""One row of the table of edits."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from veridical.core.arrays import Images
from veridical.core.errors import InputError
from veridical.core.parse import value_of
from veridical.core.settings import types_of
from veridical.core.tokens import NEGATIVE
from veridical.editing.settings import Settings

if TYPE_CHECKING:
    from torch import Tensor

    from veridical.editing.words import Words
    from veridical.models.contract import Denoising


@dataclass(frozen=True)
class Given:
    """What edits may need besides images, a row an image; what was not given is None.

    Attributes
    ----------
    mask : ndarray of bool, shape (N, H, W)
        True where an image may change.
    second : ndarray of float32, shape (N, C, H, W), values in [0, 1]
        Another image for each.
    prompt : sequence of tuple of str
        What each image shall show; several texts an image for edits that make several changes at once.
    source_prompt, negative_prompt : sequence of str
        What each shows, and what guidance leads away from.
    words : Words
        What makes conditions of texts; there is none where a model hears no words.
    hint : ndarray of float32, shape (N, 3, H, W), values in [0, 1]
        What the ControlNet of a pipeline is shown.
    """

    mask: NDArray[np.bool_] | None = None
    second: Images | None = None
    prompt: Sequence[tuple[str, ...]] | None = None
    source_prompt: Sequence[str] | None = None
    negative_prompt: Sequence[str] | None = None
    words: Words | None = None
    hint: Images | None = None

    def target(self, n: int) -> dict[str, Tensor]:
        """Conditions of `n` images by their (first) prompts and negative prompts; empty for a model that hears no words."""
        if self.words is None:
            return {}
        said = self.words.cond([texts[0] for texts in self.prompt] if self.prompt else [""] * n)
        against = self.words.cond(self.negative_prompt) if self.negative_prompt else {}
        return said | {NEGATIVE + name: value for name, value in against.items()}

    def source(self, n: int) -> dict[str, Tensor]:
        """Conditions of what `n` images show; of nothing in particular where that was not given."""
        return {} if self.words is None else self.words.cond(self.source_prompt or [""] * n)


NEEDS = ("mask", "second", "prompt", "source_prompt", "negative_prompt")


@dataclass(frozen=True)
class Edited:
    """What an edit made.

    Attributes
    ----------
    images : ndarray of float32, shape (N, C, H, W), values in [0, 1]
    mask : ndarray of bool, shape (N, H, W), optional
        Where it meant to change them, if it found that itself.
    maps : dict of str to ndarray, shape (N, H, W), values in [0, 1], optional
        Pictures of how it went about it, such as the attention to a word.
    notes : tuple of str
        What the user should know.
    chroma : ndarray of float, shape (N,), optional
        Of grey images by a model of colour: how far from grey it drew them, before that was taken off
        (`veridical.data.colour.chroma`).
    origin : (int, int)
        Row and column where the images that came lie in these, which may be larger; their masks and maps are, too.
    """

    images: Images
    mask: NDArray[np.bool_] | None = None
    maps: dict[str, Images] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    origin: tuple[int, int] = (0, 0)
    chroma: NDArray[np.float64] | None = None

    def placed(self, source: NDArray[Any]) -> NDArray[Any]:
        """An array (..., h, w) of the images that came, in one of the size of these; around it 0 or False."""
        (top, left), (height, width) = self.origin, source.shape[-2:]
        whole = np.zeros((*source.shape[:-2], *self.images.shape[-2:]), source.dtype)
        whole[..., top : top + height, left : left + width] = source
        return whole


class Apply(Protocol):
    """An edit: images (N, C, H, W) in [0, 1], each with noise of its own, and what becomes of them.

    `model` has ``denoise``, ``encode`` and ``decode`` (`veridical.editing.space.Space` is what most edits see of it); `settings`
    are those of the row; `size` is the side of the tiles that the model was trained on. Row k has the noise of the number
    ``numbers[k]`` of `seed`.
    """

    def __call__(
        self,
        model: Denoising,
        images: Images,
        given: Given,
        settings: Any,
        *,
        size: int,
        seed: int,
        numbers: Sequence[int],
        quiet: bool,
    ) -> Edited: ...


@dataclass(frozen=True)
class Edit:
    """One row.

    Attributes
    ----------
    name : str
    task : str
        "restoration" has an option of `veridical restore`; all are ways of `veridical edit`.
    summary : str
        What it does, one sentence; the help of its option.
    paper : str
    apply : Apply
    synthetic : str
        What in the result is made up, for its record.
    needs : tuple of str
        Fields of `Given` that it must have.
    settings : type
        Frozen dataclass with the fields of `veridical.editing.settings.Settings` and its own.
    chief : str
        The need or the setting that its option gives.
    metavar : str
        What stands for that in the help; by default its choices.
    flag : str
        What its option is called, where neither the need that it is about nor its name says what it does.
    replaces : bool
        Its images take the place of the old ones; else only the change is written, and counts beyond the run's intensity
        window stay beyond it.
    offers : tuple of str
        Fields of `Given` that it uses where they are given.
    several : bool
        It makes several changes at once, a prompt each; others make them one after another.
    steered : bool
        The ControlNet of a pipeline can steer it.
    """

    name: str
    task: Literal["restoration", "words"]
    summary: str
    paper: str
    apply: Apply
    synthetic: str
    needs: tuple[str, ...] = ()
    settings: type = Settings
    chief: str = ""
    metavar: str = ""
    flag: str = ""
    replaces: bool = False
    offers: tuple[str, ...] = ()
    several: bool = False
    steered: bool = False

    @property
    def option(self) -> str:
        """Its option: its flag, the need that it is about, or its name."""
        return self.flag or (self.chief if self.chief in self.needs else self.name)

    @property
    def placeholder(self) -> str:
        """What stands for the value of its option in the help."""
        choices = self.own[self.chief].metadata["choices"] if self.chief in self.own else None
        return self.metavar or "|".join(choices or ()) or "VALUE"

    @property
    def own(self) -> dict[str, dataclasses.Field[Any]]:
        """Its own settings, besides how carefully to sample."""
        shared = {field.name for field in dataclasses.fields(Settings)}
        return {field.name: field for field in dataclasses.fields(self.settings) if field.name not in shared}

    def parse(self, values: dict[str, Any]) -> Any:
        """Its settings with `values`, of which text is converted.

        Raises
        ------
        InputError
            For what is no setting of it, or no value of one.
        """
        types = types_of(self.settings)
        for name in values:
            if name not in types:
                raise InputError(f"{self.name} has no setting {name!r}: it has {', '.join(types)}.")
        parsed = {name: value_of(name, value, types[name]) for name, value in values.items()}
        if isinstance(values.get(self.chief), str) and parsed[self.chief] is None:  # "none": its option says nothing
            raise InputError(f"{self.chief}={values[self.chief]} cannot be: give {self.placeholder}.")
        return self.settings(**parsed)
