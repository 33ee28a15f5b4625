"""A denoiser of texts that sees what stands around a hole (GLIDE: Nichol et al. 2022, arXiv:2112.10741, section 2.4)."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import distance_transform_edt, label
from torch import Tensor, nn

from veridical.core.arrays import NO_LABEL
from veridical.core.batch import Batch, Noise
from veridical.core.errors import InputError
from veridical.core.settings import check, setting
from veridical.diffusion.solvers import SOLVERS, Denoise
from veridical.models.diffusion.around import GoingOn
from veridical.models.diffusion.settings import Sampling, can_draw, options
from veridical.nets.whole import mean_over_processes

SHARES = (0.05, 0.6)  # of an image that a hole takes
FINEST, WIDEST = 1.5, 1 / 6  # correlation lengths of the borders of holes: in pixels, and as a share of the size


@dataclass(frozen=True)
class Holes:
    """What training hides."""

    all_hidden: float = setting(
        0.2,
        "Share of training images of which nothing is seen: it draws whole images by their text, too.",
        low=0,
        high=1,
    )
    objects: float = setting(
        0.4,
        "Share of training images with objects of their label image hidden, where the data have label images.",
        low=0,
        high=1,
    )
    boxes: float = setting(
        0.2, "Share of training images with a rectangle hidden; in all others it is patches.", low=0, high=1
    )

    def __post_init__(self) -> None:
        check(self)
        if self.all_hidden + self.objects + self.boxes > 1:
            raise InputError(
                f"all_hidden={self.all_hidden}, objects={self.objects} and boxes={self.boxes} are more than all images: give "
                "less."
            )


class Inpainting(GoingOn):
    """A trained denoiser of texts that learns on, with a map of the hole and the image outside of it beside the noisy image.

    The two come as further channels of the first convolution, whose weights begin at zero: before the first step it is its
    base. In latents that is the network of Stable Diffusion's inpainting (Rombach et al. 2022, arXiv:2112.10752). In pixels
    what is seen is what is expected there, so that nothing but holes has to be learned. Training hides rectangles, patches of
    any width (level sets of smooth noise) or everything.

    Parameters
    ----------
    base : nn.Module
        A trained run of text_to_image, dalle3 or stable_diffusion.
    channels, size : int
        Of the images; the side in pixels.
    how : Holes
    sampling : Sampling
        Its lowest and highest noise levels are those of the base.

    Raises
    ------
    InputError
        If the base is another system.
    """

    sees = "hole"

    def __init__(
        self,
        base: nn.Module,
        channels: int,
        size: int,
        how: Holes | None = None,
        sampling: Sampling | None = None,
    ) -> None:
        super().__init__(copy.deepcopy(base), "inpainting")
        inner = self.denoiser
        self.how, self.channels, self.size, self.shape = how or Holes(), channels, size, inner.shape
        # Warps and crops would leave the map behind, and an early copy does not see it.
        inner.law, inner.early = dataclasses.replace(inner.law, warp=0.0, early_steps=0, crop=0), None
        seen = 1 + inner.shape[0]
        inner.embed = dataclasses.replace(inner.embed, given=seen)
        inner.net.widen(seen * inner.patch**2)
        inner.inside += seen * inner.patch**2
        # The run holds all of it: the stages of the base as well, which stay as they are.
        parts: Any = self.base.parts
        self.parts: dict[str, nn.Module] = dict(parts)
        for part in self.parts.values():
            part.requires_grad_(True)
        ends = {name: getattr(self.base.sampling, name) for name in ("sigma_min", "sigma_max")}
        self.sampling = dataclasses.replace(sampling or Sampling(), autoguidance=1.0, **ends)
        can_draw(inner.law, self.sampling, False)

    def denoise(self, x: Tensor, sigma: Tensor, cond: dict[str, Any] | None = None) -> Tensor:
        """See `Denoiser.denoise`; of a hole ``map`` (N, 1 + C, h, w), see `seen`: without one all is hidden."""
        return self._kept(self.base.denoise)(x, sigma, self._shown(cond or {}, len(x), *x.shape[2:]))

    def _kept(self, denoise: Denoise) -> Denoise:
        """`denoise` that expects in pixels what is seen of them; latents beside a hole hold some of it."""

        def outside(x: Tensor, sigma: Tensor, cond: Any = None) -> Tensor:
            hole = cond["map"][:, :1]
            return torch.where(hole > 0, denoise(x, sigma, cond), cond["map"][:, 1:])

        return outside if self.shape[-1] == self.size else denoise

    def seen(self, hole: Tensor, image: Tensor) -> Tensor:
        """What the network is shown of images (N, C, H, W) in [-1, 1]: where a hole (N, 1, H, W) is, and the rest, encoded."""
        factor = image.shape[-1] // self.shape[-1]
        places = F.max_pool2d(hole.to(image), factor) if factor > 1 else hole.to(image)
        return torch.cat([places, self.encode(torch.where(hole, torch.zeros_like(image), image))], 1)

    def _shown(self, cond: dict[str, Any], n: int, *room: int) -> dict[str, Any]:
        """`cond` with a map; where there is none, that of a hole as large as the room, of `n` images."""
        if "map" in cond:
            return cond
        side, device = self.size, next(self.parameters()).device
        grey = torch.zeros(1, self.channels, side, side, device=device)
        with torch.no_grad():
            one = self.seen(grey[:, :1] == 0, grey)
        tall, wide = (-(-length // self.shape[-1]) for length in room)
        return {**cond, "map": one.repeat(n, 1, tall, wide)[..., : room[0], : room[1]]}

    def solved(
        self, denoise: Denoise, x: Tensor, cond: dict[str, Any], noise: Noise, sampling: Sampling | None = None
    ) -> Tensor:
        """Where the solver of the settings leads from x, at the first level of `grid`."""
        how, law = sampling or self.sampling, self.denoiser.law
        if (law.variance, how.solver) == ("learned", "ancestral"):
            raise InputError("variance=learned is not drawn inside of holes: use another solver, such as ddim.")
        return SOLVERS[how.solver](denoise, x, self.grid(how), cond, noise, **options(law, how))

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        """Yield the base's loss, with a part of each image hidden; in pixels that of the hidden ones alone."""
        with torch.no_grad():
            shown = self.seen(drawn_holes(batch, self.size, self.how), batch.image)
        cond = {**{name: of for name, of in batch.cond.items() if name != "objects"}, "map": shown}
        if self.shape[-1] == self.size:
            # That of all processes, so that each pixel that is hidden counts alike; a box beyond the border hides none.
            share = mean_over_processes(shown[:, :1].mean())
            cond["weight"] = shown[:, :1] / share.clamp(min=torch.finfo(share.dtype).tiny)
        yield from self.base.losses(dataclasses.replace(batch, cond=cond), step)

    def sample(self, n: int, cond: dict[str, Any], noise: Noise, sampling: Sampling | None = None) -> Tensor:
        """Images in [-1, 1] of texts; with a ``map`` only what it hides is new."""
        shown = self._shown(cond, n, *self.denoiser.room)
        drawn: Tensor = self.base.sample(n, shown, noise, sampling or self.sampling, self._kept)
        return drawn


def drawn_holes(batch: Batch, size: int, how: Holes) -> Tensor:
    """Holes (N, 1, size, size), true where training hides images of a batch.

    Patches are where smooth noise is above a quantile of it: islands, bands and threads, narrow or wide with the correlation
    length, which is log-uniform. They hide a share of the image that is uniform between 0.05 and 0.6. Objects are hidden as a
    whole, see `hidden_objects`, so that nothing but the caption says what is there.
    """
    kind, chance, noise = batch.uniform(), batch.uniform(6), batch.normal(size, size)
    share = SHARES[0] + (SHARES[1] - SHARES[0]) * chance[:, 0]
    length = FINEST * (size * WIDEST / FINEST) ** chance[:, 1]
    ripples = [torch.fft.fftfreq(size), torch.fft.rfftfreq(size)]
    squares = sum(2 * (math.pi * f) ** 2 for f in torch.meshgrid(*ripples, indexing="ij")).to(noise)  # type: ignore[union-attr]
    smooth = torch.fft.irfft2(
        torch.fft.rfft2(noise) * torch.exp(-squares * length.reshape(-1, 1, 1) ** 2), s=(size, size)
    )
    level = torch.stack([one.flatten().quantile(1 - part) for one, part in zip(smooth, share, strict=True)])
    patches = smooth > level.reshape(-1, 1, 1)

    # A side from a tenth to all of an image; it may reach beyond borders, which are hidden as often as the middle.
    sides = 0.1 + 0.9 * chance[:, 2:4]
    first = (1 + sides) * chance[:, 4:] - sides
    at = (torch.arange(size, device=noise.device) + 0.5) / size
    inside = [(first[:, k, None] < at) & (at < (first + sides)[:, k, None]) for k in (0, 1)]
    boxes = inside[0][:, :, None] & inside[1][:, None]

    holes = torch.where((kind < how.all_hidden + how.objects + how.boxes).reshape(-1, 1, 1), boxes, patches)
    for k in ((kind >= how.all_hidden) & (kind < how.all_hidden + how.objects)).nonzero()[:, 0].tolist():
        hidden = (
            hidden_objects(batch.cond["objects"][k], chance[k], noise[k]) if "objects" in batch.cond else patches[k]
        )
        holes[k] = hidden if hidden.any() else patches[k]
    return (holes | (kind < how.all_hidden).reshape(-1, 1, 1))[:, None]


def hidden_objects(labels: Tensor, chance: Tensor, noise: Tensor) -> Tensor:
    """A hole (H, W) over some of the connected objects of one class of a label image (H, W), and a rim around them.

    One class of those in the image, half of the time all of its objects, else a share that is uniform in [0, 1] and at least one,
    and a rim of up to an eighth of the side. A hole in three is put elsewhere in the image, so that its shape does not tell what
    was there.

    Parameters
    ----------
    labels : Tensor of uint8
        255 where nothing is labelled; there is no hole where that is everywhere.
    chance : Tensor, shape (6,), uniform
    noise : Tensor, shape (H, W), standard normal
    """
    numbers, lots = labels.cpu().numpy(), noise.cpu().numpy().ravel()
    which, share, rim, moved, *shift = chance.tolist()
    classes = np.setdiff1d(numbers, [NO_LABEL])
    if not len(classes):
        return torch.zeros_like(labels, dtype=torch.bool)
    objects, n = label(numbers == classes[int(which * len(classes))], np.ones((3, 3)))
    lot = lots[np.unique(objects, return_index=True)[1][-n:]]
    hidden = np.isin(objects, 1 + np.argsort(lot)[: max(1, round(min(1, 2 * share) * n))])
    hole = distance_transform_edt(~hidden) <= rim * len(numbers) / 8
    if moved < 1 / 3:
        hole = np.roll(hole, [int(part * len(numbers)) for part in shift], (0, 1))
    return torch.from_numpy(hole).to(labels.device)
