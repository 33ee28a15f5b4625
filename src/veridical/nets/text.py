"""A text, as token ids, in the form that networks attend to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from veridical.core.tokens import BEGIN, END, NEGATIVE, PAD
from veridical.nets.dit import Block


class Read(NamedTuple):
    """What a reader makes of texts: vectors (N, L, width), which of them count (N, L), if not all, and what the whole of a text
    says, (N, width), if that is heard beside time and label.
    """

    sequence: Tensor
    there: Tensor | None
    whole: Tensor | None

    def of(self, rows: Tensor | slice) -> Read:
        """Those of some images."""
        some = [None if part is None else part[rows] for part in (self.there, self.whole)]
        return Read(self.sequence[rows], *some)


class Reader(Protocol):
    """A module that reads the texts of conditions for a network.

    Attributes
    ----------
    key : str
        The array that it cannot do without; where that is missing, there is no text.
    width : int
        Of its vectors.
    """

    key: str
    width: int

    def read(self, cond: dict[str, Any], n: int, keep: Tensor | None = None) -> Read:
        """Read the texts of `n` images, those of ``keep == False`` (n,) as if there were none."""
        ...


class TextOrNone(nn.Module):
    """Token ids (N, L) to a sequence (N, 1 + L, dim) of vectors, the first of which is always there: alone it is no text.

    Parameters
    ----------
    tokens : int
        Size of the vocabulary; id 0 is padding.
    dim : int
        A multiple of 32.
    depth : int
        Blocks of a transformer.
    """

    key = "text"

    def __init__(self, tokens: int, dim: int, depth: int = 2) -> None:
        from diffusers.models.embeddings import Timesteps

        super().__init__()
        self.width = dim
        self.words = nn.Embedding(tokens, dim)
        self.value = nn.Linear(1, dim, bias=False)
        self.none = nn.Parameter(torch.zeros(dim))
        self.places = Timesteps(dim, flip_sin_to_cos=True, downscale_freq_shift=0)
        self.blocks = nn.ModuleList(Block(dim, "in_context", 0.0) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)

    def forward(
        self, ids: Tensor | None, n: int, value: Tensor | None = None, keep: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the sequence and which of it counts (N, 1 + L).

        Parameters
        ----------
        ids : Tensor of int64, shape (N, L), or None
            None: no text.
        n : int
        value : Tensor of float32, shape (N, L), optional
            Standardised numbers, where a token stands for one; elsewhere 0.
        keep : Tensor of bool, shape (N,), optional
            The texts of the others are left out.
        """
        x, there = self.none.expand(n, 1, -1), torch.ones(n, 1, dtype=torch.bool, device=self.none.device)
        if ids is not None:
            place = self.places(torch.arange(ids.shape[1], device=ids.device)).to(x.dtype)
            words = self.words(ids) + place
            if value is not None:
                words = words + self.value(value.to(x.dtype)[..., None])
            known = ids != 0 if keep is None else (ids != 0) & keep[:, None]
            x, there = torch.cat([x, words], 1), torch.cat([there, known], 1)
        for block in self.blocks:
            x = block(x, x[:, 0], x, own=there)
        return self.norm(x), there

    def read(self, cond: dict[str, Any], n: int, keep: Tensor | None = None) -> Read:
        """See `Reader`; the first vector says what the whole of a text says."""
        sequence, there = self(cond.get("text"), n, cond.get("value"), keep)
        return Read(sequence, there, sequence[:, 0])


class Tower(nn.Module):
    """A text tower as a reader (Rombach et al. 2022, section 3.3): what it has learned elsewhere, or learns on here.

    No text is an empty one: it begins, ends and is filled up. The tower itself heeds what is padding, but a network attends
    to the vectors of all tokens, as `StableDiffusionPipeline` has it: those after the end have read the whole text.

    Parameters
    ----------
    tower : nn.Module
        transformers' `CLIPTextModel`.
    """

    key = "spelled"
    empty: Tensor

    def __init__(self, tower: Any) -> None:
        super().__init__()
        self.tower, self.width = tower, int(tower.config.hidden_size)
        empty = torch.full((1, tower.config.max_position_embeddings), PAD)
        empty[0, :2] = torch.tensor([BEGIN, END])
        self.register_buffer("empty", empty, persistent=False)

    def read(self, cond: dict[str, Any], n: int, keep: Tensor | None = None) -> Read:
        """See `Reader`."""
        ids = cond.get("spelled")
        if ids is None:
            ids = self.empty.expand(n, -1)
        elif keep is not None:
            ids = torch.where(keep[:, None], ids, self.empty[:, : ids.shape[1]])
        return Read(self.tower(input_ids=ids, attention_mask=(ids != PAD).long()).last_hidden_state, None, None)


@dataclass(frozen=True)
class Heard:
    """A text that was read once, for many calls of a network: by its reader, and by that of its early copy.

    It stands in conditions in place of an array, and rows are taken of it as of one.
    """

    now: Read
    early: Read | None

    def __getitem__(self, rows: Tensor | slice) -> Heard:
        return Heard(self.now.of(rows), None if self.early is None else self.early.of(rows))

    def __len__(self) -> int:
        return len(self.now.sequence)


def hear(cond: dict[str, Any], n: int, now: Reader, early: Reader | None = None) -> dict[str, Any]:
    """Conditions of `n` images whose text is `Heard`, and so is what guidance leads away from: a negative one, or none."""
    if now.key not in cond:
        return cond
    heard = {}
    for of in ("", NEGATIVE):
        told = {name.removeprefix(of): value for name, value in cond.items() if name.startswith(of)}
        heard[f"{of}{now.key}"] = Heard(now.read(told, n), None if early is None else early.read(told, n))
    return {**cond, **heard}


def listen(reader: Reader, cond: dict[str, Any], n: int, keep: Tensor | None = None, early: bool = False) -> Read:
    """What `reader` makes of the text of conditions, or made of it, see `hear`."""
    text = cond.get(reader.key)
    if isinstance(text, Heard):
        return text.early if early and text.early else text.now
    return reader.read(cond, n, keep)
