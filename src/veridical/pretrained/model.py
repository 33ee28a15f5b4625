"""A pipeline of Stable Diffusion as a model of ours: in the variance-exploding form, told token ids as ``spelled``."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from veridical.core.batch import Batch, Noise
from veridical.core.errors import InputError
from veridical.diffusion.guidance import classifier_free, instructed
from veridical.diffusion.solvers import Denoise
from veridical.nets.attention import Control, controlled
from veridical.nets.text import Read, hear, listen
from veridical.pretrained.coding import Turns, decoded, encoded, factor_of, is_grey
from veridical.pretrained.levels import Schedule
from veridical.pretrained.scheduled import Scheduled
from veridical.pretrained.settings import PipelineSampling

AT_ONCE = 2**20  # pixels of all images that are worked on together


class Pretrained(Scheduled):
    """The U-Net, VAE and text encoders of a pipeline (Rombach et al. 2022, arXiv:2112.10752), frozen.

    A pipeline's own noisy latents are ``x / sqrt(1 + sigma**2)``. Of these its U-Net predicts the noise, with
    ``D = x - sigma * eps``, or the velocity (Salimans and Ho 2022, appendix D). Latents are those of the VAE times its
    ``scaling_factor``; noise levels are by the betas of its own scheduler.

    Parameters
    ----------
    parts : dict
        ``unet``, ``vae``, ``text_encoder`` and, of some pipelines, ``text_encoder_2`` and ``controlnet``.
    empty : Tensor, shape (1, L)
        Token ids of the empty text, those of two tokenizers side by side.
    schedule : Schedule
    sampling : PipelineSampling
    sees : str
        What the U-Net sees beside the noisy latents, as the condition ``map``: "", the "image" that is changed, encoded; or the
        "hole": a map that is 1 where to draw, and the encoded image with grey there.
    padding : tuple of int, optional
        Token ids that fill up texts and are not heeded by the text encoders themselves; by default all are.
    zeros : bool
        No text is vectors of zeros in place of an empty text.
    device : torch.device
    offload : bool
        Keep on the device only the part that works.
    """

    key = "spelled"
    colours = 3
    deviation = 1.0  # of latents times their scaling factor
    empty: Tensor

    def __init__(
        self,
        parts: dict[str, Any],
        empty: Tensor,
        schedule: Schedule,
        sampling: PipelineSampling,
        *,
        sees: str = "",
        padding: tuple[int, ...] = (),
        zeros: bool = False,
        device: torch.device | None = None,
        offload: bool = False,
    ) -> None:
        super().__init__()
        where = device or torch.device("cpu")
        # What asks for the device of a model asks its first tensor; others may wait elsewhere.
        self.where = nn.Parameter(torch.zeros(0, device=where), requires_grad=False)
        self.vae, self.unet = parts["vae"], parts["unet"]
        self.towers = nn.ModuleList(parts[name] for name in ("text_encoder", "text_encoder_2") if name in parts)
        self.control: Any = parts.get("controlnet")
        self.register_buffer("empty", empty.to(where), persistent=False)
        self.schedule, self.sampling, self.sees = schedule, sampling, sees
        self._padding, self._zeros, self.grey = padding, zeros, is_grey(self.vae)
        self._hint: Tensor | None = None
        self.scale, self.width = float(self.vae.config.scaling_factor), int(self.unet.config.cross_attention_dim)
        side, channels = int(self.unet.config.sample_size), int(self.vae.config.latent_channels)
        self.shape = (channels, side, side)
        self.size = side * factor_of(self.vae.config)
        self.rows = max(1, AT_ONCE // self.size**2)
        self.parts: dict[str, nn.Module] = {}
        working = {"vae": [self.vae], "towers": [self.towers], "unet": [self.unet, self.control]}
        self._turns = Turns(working, where, offload)
        if not offload:
            self.to(where)

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        """Yield the squared error of what the U-Net predicts, at one of all noise levels (Ho et al. 2020, eq. 14).

        That of clean latents is brought to it: of the noise it is sigma times as large, of the velocity sigma / sqrt(1 + sigma²).
        """
        with torch.no_grad():
            z = self.encode(batch.image.expand(-1, 3, -1, -1))
        levels = self.schedule.levels
        sigma = levels[(batch.uniform().cpu() * len(levels)).long()].to(z.dtype).to(z.device)
        x = z + sigma.reshape(-1, 1, 1, 1) * batch.normal(*self.shape)
        error = (self.denoise(x, sigma, batch.cond) - z) / self.unit(sigma)
        yield "denoiser", error.square().mean()

    def unit(self, sigma: Tensor) -> Tensor:
        """What a unit of what the U-Net predicts is worth in clean latents at noise levels (N,), shape (N, 1, 1, 1)."""
        kinds = {"epsilon": sigma, "v_prediction": sigma * (1 + sigma**2).rsqrt(), "sample": torch.ones_like(sigma)}
        return kinds[self.schedule.prediction].reshape(-1, 1, 1, 1)

    def encode(self, x: Tensor) -> Tensor:
        """Means of the latents of images (N, 3, H, W), one image after another."""
        self._turns.use("vae")
        return encoded(self.vae, x)

    def decode(self, z: Tensor) -> Tensor:
        """Images in colour, likewise."""
        self._turns.use("vae")
        return decoded(self.vae, z)

    def denoise(self, x: Tensor, sigma: Tensor, cond: dict[str, Any] | None = None) -> Tensor:
        """Expected latents `x0` of ``x = x0 + sigma * noise``; sigma (N,).

        What is not in `cond` is not known: ``spelled`` (N, L), ``map``, ``hint`` (N, 3, size, size) in [0, 1], and of Stable
        unCLIP ``embedding`` (N, 2 * dim).
        """
        told, n, kind = cond or {}, len(x), self.unet.dtype
        text = listen(self, told, n)
        level = sigma.reshape(-1, 1, 1, 1)
        seen = self.schedule.left(level) * x
        if self.sees:
            seen = torch.cat([seen, self._beside(told.get("map"), x)], 1)
        time = self.schedule.time(sigma)
        given: dict[str, Any] = {"encoder_hidden_states": text.sequence.to(kind)}
        if text.whole is not None:
            sides = x.new_tensor([[self.size, self.size, 0, 0, self.size, self.size]]).expand(n, -1)
            given["added_cond_kwargs"] = {"text_embeds": text.whole.to(kind), "time_ids": sides.to(kind)}
        if self.unet.config.class_embed_type == "projection":
            length = self.unet.config.projection_class_embeddings_input_dim
            given["class_labels"] = told.get("embedding", x.new_zeros(n, length)).to(kind)
        self._turns.use("unet")
        more = {}
        if self.control is not None and "hint" in told and self.sampling.strength:
            down, middle = self.control(
                seen.to(kind), time, controlnet_cond=told["hint"].to(kind), conditioning_scale=self.sampling.strength,
                return_dict=False, **given,
            )  # fmt: skip
            more = {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}
        out = self.unet(seen.to(kind), time, **given, **more).sample.to(x.dtype)
        return self.schedule.clean(x, level, out)

    def _beside(self, maps: Tensor | None, x: Tensor) -> Tensor:
        """What the U-Net is shown of the condition ``map``: InstructPix2Pix takes latents as the VAE gives them."""
        if self.sees == "image":
            return torch.zeros_like(x) if maps is None else maps / self.scale
        if maps is None:  # all is a hole
            side = x.shape[-1] * self.size // self.shape[-1]
            maps = torch.cat([torch.ones_like(x[:1, :1]), self.encode(x.new_zeros(1, 3, side, side))], 1)
        return maps.expand(len(x), -1, -1, -1)

    def read(self, cond: dict[str, Any], n: int, keep: Tensor | None = None) -> Read:
        """See `veridical.nets.text.Reader`."""
        ids = cond.get(self.key)
        silent = ids is None and self._zeros
        ids = self.empty.expand(n, -1) if ids is None else ids
        self._turns.use("towers")
        several = len(self.towers) > 1
        sequences, whole = [], None
        for k, (tower, mine) in enumerate(zip(self.towers, ids.chunk(len(self.towers), 1), strict=True)):
            mask = (mine != self._padding[k]).long() if self._padding else None
            found = tower(input_ids=mine, attention_mask=mask, output_hidden_states=several)
            sequences.append(found.hidden_states[-2] if several else found.last_hidden_state)
            whole = found.text_embeds if several and k else None
        sequence = torch.cat(sequences, -1)
        if silent:
            sequence, whole = torch.zeros_like(sequence), None if whole is None else torch.zeros_like(whole)
        return Read(sequence, None, whole)

    def hear(self, cond: dict[str, Any], n: int, noise: Noise | None = None) -> dict[str, Any]:
        """Conditions of `n` images with their text read once, for many calls of `denoise`."""
        found = hear(cond, n, self)
        return found if self._hint is None else found | {"hint": self._hint.repeat(n // len(self._hint), 1, 1, 1)}

    def steered(self, hint: Tensor) -> Pretrained:
        """The same, which is told the hints (N, 3, H, W) in [0, 1] of N images, or several times as many, beside all else."""
        found = copy.copy(self)
        found._hint = hint.to(self.where.device)
        return found

    def attention(self, control: Control) -> AbstractContextManager[None]:
        """A context in which the attention of the U-Net goes through `control`."""
        return controlled(self.unet, control)

    def guided(self, sampling: PipelineSampling | None = None) -> Denoise:
        """`denoise` with the guidance of the settings."""
        how = sampling or self.sampling
        low, high = how.guidance_interval
        return classifier_free(self.denoise, how.guidance_scale, (low, high), ("embedding", self.key))

    def instructed(self, denoise: Denoise, sampling: PipelineSampling | None = None) -> Denoise:
        """`denoise` with guidance by the instruction and by the image ``map`` (Brooks et al. 2022, eq. 3)."""
        how = sampling or self.sampling
        low, high = how.guidance_interval
        return instructed(denoise, how.guidance_scale, how.image_guidance_scale, (low, high), text=self.key)

    def sample(self, n: int, cond: dict[str, Any], noise: Noise, sampling: PipelineSampling | None = None) -> Tensor:
        """Images (n, 3, size, size) in [-1, 1] of what ``spelled`` says."""
        how = sampling or self.sampling
        if self.sees:
            edit = {"image": "instruct_pix2pix", "hole": "inpaint"}[self.sees]
            raise InputError(
                f"this pipeline changes images and draws none of its own: use veridical edit --how {edit}."
            )
        heard = self.hear(cond, n)
        x = self.start(noise, self.grid(how)[0].item())
        return self.decode(self.solved(self.guided(how), x, heard, noise, how)).clamp(-1, 1)
