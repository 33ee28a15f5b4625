"""Priors of unCLIP (Ramesh et al. 2022, arXiv:2204.06125, section 2.2): from a caption to CLIP's embedding of an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from veridical.core.batch import Batch, Noise
from veridical.core.errors import InputError
from veridical.core.settings import check, setting
from veridical.diffusion.formulations import FORMULATIONS, Span
from veridical.diffusion.guidance import classifier_free
from veridical.diffusion.solvers import dpm_solver_pp_2m

HEAD = 32  # numbers of an attention head
LAW = FORMULATIONS["ddpm_cosine"]
ANY = Span(0.0, 1.0, 0.01, 80.0)  # of which DDPM takes nothing


class Told(NamedTuple):
    """A caption as CLIP's text tower reads it.

    Attributes
    ----------
    vector : Tensor, shape (N, dim)
        Its embedding, of length 1.
    words : Tensor, shape (N, L, width)
    there : Tensor of bool, shape (N, L)
        Which words count.
    """

    vector: Tensor
    words: Tensor
    there: Tensor


@dataclass(frozen=True)
class Imagining:
    """How an embedding of an image is imagined from a caption."""

    prior: str = setting(
        "diffusion",
        "diffusion: of the embedding itself; autoregressive: of its principal components, in steps, one after another.",
        choices=("diffusion", "autoregressive"),
    )
    prior_width: int = setting(128, "Width of its transformer, a multiple of 32.", low=32)
    prior_layers: int = setting(2, "Depth of its transformer.", low=1, high=1000)
    components: int = setting(32, "For autoregressive: principal components that are kept.", low=1)
    buckets: int = setting(64, "For autoregressive: values of each component.", low=2)

    def __post_init__(self) -> None:
        check(self)
        if self.prior_width % HEAD:
            raise InputError(f"prior_width={self.prior_width} must be a multiple of {HEAD}: choose another.")


class DiffusionPrior(nn.Module):
    """diffusers' `PriorTransformer`: words, their embedding, time, noisy embedding and a last query, each seeing those before.

    It predicts the clean embedding itself, and learns from its squared error at all of a thousand cosine steps alike (eq. 2).

    Parameters
    ----------
    dim : int
        Length of the embeddings, which are standardised.
    words, tokens : int
        Length of the vectors of words, and how many there are.
    how : Imagining
    """

    def __init__(self, dim: int, words: int, tokens: int, how: Imagining) -> None:
        from diffusers.models.transformers.prior_transformer import PriorTransformer

        super().__init__()
        self.dim = dim
        self.words = nn.Linear(words, how.prior_width)
        self.net: Any = PriorTransformer(
            num_attention_heads=how.prior_width // HEAD,
            attention_head_dim=HEAD,
            num_layers=how.prior_layers,
            embedding_dim=dim,
            num_embeddings=tokens,
            encoder_hid_proj_type=None,
        )
        del self.net.clip_mean, self.net.clip_std  # embeddings are standardised outside
        # Its first guess is the mean embedding.
        nn.init.zeros_(self.net.proj_to_clip_embeddings.weight)
        nn.init.zeros_(self.net.proj_to_clip_embeddings.bias)

    def prepare(self, z: Tensor) -> None:
        """Nothing of the embeddings (N, dim) is measured."""

    def denoise(self, x: Tensor, sigma: Tensor, told: Told) -> Tensor:
        """Expected embeddings z (N, dim) of ``x = z + sigma * noise``; sigma (N,)."""
        scalings = LAW.scalings(sigma)
        # A caption's embedding has the length 1: its numbers are made as large as those of a standardised one.
        vector = told.vector * self.dim**0.5
        return cast(
            Tensor,
            self.net(
                scalings.in_[:, None] * x, scalings.time, vector, self.words(told.words), told.there
            ).predicted_image_embedding,
        )

    def loss(self, z: Tensor, told: Told, batch: Batch) -> Tensor:
        """Squared error of the expected embedding."""
        sigma = LAW.law(batch.normal(), ANY)
        noisy = z + sigma[:, None] * batch.normal(self.dim)
        return (self.denoise(noisy, sigma, told) - z).square().mean()

    def sample(self, told: Told, against: Told, noise: Noise, guidance: float, steps: int) -> Tensor:
        """Embeddings (N, dim) of captions, led away from others: `guidance` 1 is not at all."""

        def denoise(x: Tensor, sigma: Tensor, cond: Any) -> Tensor:
            return self.denoise(x, sigma, cond["told"])

        grid = LAW.grid(steps, ANY)
        cond = {"told": told, "negative_told": against}
        guided = classifier_free(denoise, guidance, key="told")
        return dpm_solver_pp_2m(guided, grid[0].item() * noise((self.dim,)), grid, cond)


class AutoregressivePrior(nn.Module):
    """Principal components of the embedding, the largest first, each one of some values, which a GPT-2 draws one after another.

    The paper also lets it read a quantised similarity of caption and image; here the better of two draws is taken, as with the
    other prior.

    Parameters
    ----------
    dim, words, tokens, how
        See `DiffusionPrior`.
    """

    def __init__(self, dim: int, words: int, tokens: int, how: Imagining) -> None:
        from transformers import GPT2Config, GPT2Model

        super().__init__()
        if how.components > dim:
            raise InputError(
                f"components={how.components} are more than the {dim} numbers of an embedding: choose fewer."
            )
        self.dim, self.components, self.buckets = dim, how.components, how.buckets
        self.words = nn.Linear(words, how.prior_width)
        self.vector = nn.Linear(dim, how.prior_width)
        self.net: Any = GPT2Model(
            GPT2Config(
                vocab_size=how.components * how.buckets,
                n_positions=tokens + how.components,
                n_embd=how.prior_width,
                n_layer=how.prior_layers,
                n_head=how.prior_width // HEAD,
                resid_pdrop=0.0,
                embd_pdrop=0.0,
                attn_pdrop=0.0,
                bos_token_id=None,
                eos_token_id=None,
            )
        )
        self.out = nn.Linear(how.prior_width, how.buckets)
        self.basis: Tensor
        self.low: Tensor
        self.step: Tensor
        self.register_buffer("basis", torch.eye(dim)[:, : how.components])
        self.register_buffer("low", torch.full((how.components,), -4.0))
        self.register_buffer("step", torch.full((how.components,), 8 / how.buckets))

    @torch.no_grad()
    def prepare(self, z: Tensor) -> None:
        """Measure principal components of embeddings (N, dim), and between which values each lies."""
        axes = torch.linalg.eigh(z.double().mT @ z.double())[1]
        axes = axes.flip(1)[:, : self.components]
        # The sign of an eigenvector is free and may differ from run to run: its largest entry is made positive.
        axes = axes * axes.gather(0, axes.abs().argmax(0, keepdim=True)).sign()
        self.basis.copy_(axes)
        found = z @ self.basis
        room = 0.1 * (found.amax(0) - found.amin(0)).clamp(min=1e-3)  # for what is yet to be seen
        self.low.copy_(found.amin(0) - room)
        self.step.copy_((found.amax(0) + room - self.low) / self.buckets)

    def codes(self, z: Tensor) -> Tensor:
        """Embeddings (N, dim) to whole numbers (N, components)."""
        return ((z @ self.basis - self.low) / self.step).floor().long().clamp(0, self.buckets - 1)

    def decode(self, codes: Tensor) -> Tensor:
        """Embeddings of whole numbers: what `components` do not span is lost."""
        return (self.low + (codes + 0.5) * self.step) @ self.basis.mT

    def logits(self, codes: Tensor, told: Told) -> Tensor:
        """Of each component, given those before it: (N, K + 1, buckets) of codes (N, K)."""
        return self._read(self._begin(told, codes), told, None)[0][:, told.words.shape[1] :]

    def _begin(self, told: Told, codes: Tensor) -> Tensor:
        first = self.vector(told.vector * self.dim**0.5)[:, None]
        return torch.cat([self.words(told.words), first, self._coded(codes, 0)], 1)

    def _coded(self, codes: Tensor, first: int) -> Tensor:
        which = torch.arange(first, first + codes.shape[1], device=codes.device)
        return cast(Tensor, self.net.wte(which * self.buckets + codes))

    def _read(self, tokens: Tensor, told: Told, cache: Any) -> tuple[Tensor, Any]:
        """Logits (N, K, buckets) after each of tokens (N, K, width), which come after those in the cache."""
        before = 0 if cache is None else cache.get_seq_length()
        there = F.pad(told.there, (0, before + tokens.shape[1] - told.there.shape[1]), value=True)
        places = torch.arange(before, before + tokens.shape[1], device=tokens.device)[None]
        read = self.net(
            inputs_embeds=tokens, attention_mask=there.long(), position_ids=places, past_key_values=cache,
            use_cache=not self.training,
        )  # fmt: skip
        return self.out(read.last_hidden_state), read.past_key_values

    def loss(self, z: Tensor, told: Told, batch: Batch) -> Tensor:
        """Cross-entropy of the components, in nats each."""
        codes = self.codes(z)
        return F.cross_entropy(self.logits(codes[:, :-1], told).flatten(0, 1), codes.flatten())

    def sample(self, told: Told, against: Told, noise: Noise, guidance: float, steps: int) -> Tensor:
        """Embeddings (N, dim) of captions; `steps` are always as many as components."""
        chance = torch.special.ndtr(noise((self.components,)))
        codes = torch.zeros(len(chance), 0, dtype=torch.long, device=chance.device)
        sides = (told,) if guidance == 1 else (told, against)
        heard = [(side, *self._read(self._begin(side, codes), side, None)) for side in sides]
        for k in range(self.components):
            logits = [found[:, -1] for _, found, _ in heard]
            guided = logits[0] if guidance == 1 else logits[1] + guidance * (logits[0] - logits[1])
            reached = guided.softmax(1).cumsum(1)
            code = (reached < chance[:, k : k + 1] * reached[:, -1:]).sum(1, keepdim=True).clamp(max=self.buckets - 1)
            codes = torch.cat([codes, code], 1)
            if k + 1 < self.components:
                heard = [(side, *self._read(self._coded(code, k), side, cache)) for side, _, cache in heard]
        return self.decode(codes)


PRIORS: dict[str, type[DiffusionPrior] | type[AutoregressivePrior]] = {
    "diffusion": DiffusionPrior,
    "autoregressive": AutoregressivePrior,
}
