"""How transformers of pipelines are told what to draw: by a class, or by texts that two or three encoders read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from veridical.nets.text import Heard, Read, hear, listen


class ByLabel(nn.Module):
    """A class (N,) of each image (Peebles and Xie 2023, arXiv:2212.09748).

    Parameters
    ----------
    none : int
        The number that is no class.
    """

    key = "label"

    def __init__(self, none: int) -> None:
        super().__init__()
        self.none = none

    def hear(self, cond: dict[str, Any], n: int) -> dict[str, Any]:
        """Classes need no reading."""
        return cond

    def reads(self, cond: dict[str, Any]) -> bool:
        """Whether `listen` has to read."""
        return False

    def listen(self, cond: dict[str, Any], n: int) -> Any:
        """Classes (n,), or None where they are not known."""
        return cond.get(self.key)

    def ask(self, net: Any, seen: Tensor, time: Tensor, heard: Any, guidance: float) -> Tensor:
        """What the network predicts, without what it says of a variance."""
        labels = torch.full((len(seen),), self.none, device=seen.device) if heard is None else heard.long()
        found: Tensor = net(seen, timestep=time, class_labels=labels).sample[:, : seen.shape[1]]
        return found


class Manner(NamedTuple):
    """What differs between transformers that are told texts.

    Attributes
    ----------
    read : callable
        ``read(towers, ids, width, far)`` of token ids (N, L), those of each tokenizer by themselves; `far` are those of T5.
    ask : callable
        ``ask(net, seen, time, text, guidance)``, what the network predicts; time is on a scale of 1000.
    """

    read: Callable[[Sequence[Any], Sequence[Tensor], int, int], Read]
    ask: Callable[[Any, Tensor, Tensor, Read, float], Tensor]


class ByTexts(nn.Module):
    """Token ids (N, L) of several tokenizers side by side, as the condition ``spelled``.

    Parameters
    ----------
    manner : Manner
    towers : sequence of modules
    lengths : sequence of int
        How many of the ids are whose; the last those of T5, also where that was left out.
    empty : Tensor, shape (1, L)
        Those of the empty text.
    width : int
        Of the vectors that the transformer takes.
    """

    key = "spelled"
    empty: Tensor

    def __init__(
        self, manner: Manner, towers: Sequence[Any], lengths: Sequence[int], empty: Tensor, width: int
    ) -> None:
        super().__init__()
        self.towers, self.width = nn.ModuleList(towers), width
        self._manner, self._lengths = manner, list(lengths)
        self._nothing: Read | None = None
        self.register_buffer("empty", empty, persistent=False)

    def hear(self, cond: dict[str, Any], n: int) -> dict[str, Any]:
        """Conditions of `n` images with their text read once."""
        return hear(cond, n, self)

    def reads(self, cond: dict[str, Any]) -> bool:
        """Whether `listen` has to read."""
        return self._nothing is None if self.key not in cond else not isinstance(cond[self.key], Heard)

    def listen(self, cond: dict[str, Any], n: int) -> Any:
        """What was read, or is read now."""
        return listen(self, cond, n)

    def read(self, cond: dict[str, Any], n: int, keep: Tensor | None = None) -> Read:
        """See `veridical.nets.text.Reader`; the empty text is read once: encoders are as large as transformers."""
        ids = cond.get(self.key)
        if ids is not None:
            return self._read(ids)
        if self._nothing is None:
            self._nothing = self._read(self.empty)
        return self._nothing.of(torch.zeros(n, dtype=torch.long, device=self._nothing.sequence.device))

    def _read(self, ids: Tensor) -> Read:
        found: Sequence[Tensor] = ids.split(self._lengths[: len(self.towers)], 1)
        return self._manner.read([*self.towers], found, self.width, self._lengths[-1])

    def ask(self, net: Any, seen: Tensor, time: Tensor, heard: Read, guidance: float) -> Tensor:
        """What the network predicts."""
        return self._manner.ask(net, seen, time, heard, guidance)


def _read_sd3(towers: Sequence[Any], ids: Sequence[Tensor], width: int, far: int) -> Read:
    """Two towers of CLIP side by side, filled up with zeros, and T5 behind; zeros where T5 was left out."""
    clips = [tower(input_ids=mine, output_hidden_states=True) for tower, mine in zip(towers[:2], ids, strict=False)]
    near = torch.cat([clip.hidden_states[-2] for clip in clips], -1)
    behind = towers[2](ids[2])[0] if len(towers) > 2 else near.new_zeros(len(near), far, width)
    near = F.pad(near, (0, width - near.shape[-1]))
    return Read(torch.cat([near, behind.to(near)], 1), None, torch.cat([clip.text_embeds for clip in clips], -1))


def _ask_sd3(net: Any, seen: Tensor, time: Tensor, text: Read, guidance: float) -> Tensor:
    assert text.whole is not None
    told = {"encoder_hidden_states": text.sequence.to(seen), "pooled_projections": text.whole.to(seen)}
    found: Tensor = net(hidden_states=seen, timestep=time, **told).sample
    return found


def _read_flux(towers: Sequence[Any], ids: Sequence[Tensor], width: int, far: int) -> Read:
    """What CLIP makes of the whole of a text, and what T5 makes of its tokens."""
    return Read(towers[1](ids[1])[0], None, towers[0](input_ids=ids[0]).pooler_output)


def _ask_flux(net: Any, seen: Tensor, time: Tensor, text: Read, guidance: float) -> Tensor:
    """Squares of 2 x 2 latents are its tokens, with rows and columns as their places; those of a text are at 0."""
    assert text.whole is not None
    rows, columns = seen.shape[2] // 2, seen.shape[3] // 2
    tokens = F.pixel_unshuffle(seen, 2).flatten(2).transpose(1, 2)
    places = torch.cartesian_prod(torch.arange(rows), torch.arange(columns)).to(seen)
    places = F.pad(places, (1, 0))
    told = seen.new_full((len(seen),), guidance).float() if net.config.guidance_embeds else None
    found = net(
        hidden_states=tokens, timestep=time / 1000, guidance=told, pooled_projections=text.whole.to(seen),
        encoder_hidden_states=text.sequence.to(seen), txt_ids=seen.new_zeros(text.sequence.shape[1], 3), img_ids=places,
    ).sample  # fmt: skip
    return F.pixel_shuffle(found.transpose(1, 2).unflatten(2, (rows, columns)), 2)


SD3 = Manner(_read_sd3, _ask_sd3)  # Esser et al. 2024, arXiv:2403.03206, section 4
FLUX = Manner(_read_flux, _ask_flux)
