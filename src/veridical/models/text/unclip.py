"""unCLIP (Ramesh et al. 2022, arXiv:2204.06125): words to CLIP's embedding of an image, and that embedding to an image."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from veridical.core.batch import Batch, Noise
from veridical.core.errors import InputError
from veridical.core.settings import setting
from veridical.core.tokens import BEGIN, END, PAD
from veridical.diffusion.canvas import Canvas
from veridical.diffusion.formulations import STEPS
from veridical.models.diffusion.denoiser import Denoiser
from veridical.models.diffusion.latent import LatentDiffusion
from veridical.models.diffusion.settings import Embed, Sampling
from veridical.models.text.clip import Clip
from veridical.models.text.noising import Normaliser, noised, random_level
from veridical.models.text.prior import PRIORS, Imagining, Told
from veridical.nets.attention import Control

DROPPED, WORDS_DROPPED = 0.1, 0.5  # shares of embeddings and of texts that training leaves out (section 2.1)
SHARES = 2  # the decoder learns from one of so many shares of a batch, the cheap prior from all


@dataclass(frozen=True)
class ImaginedSampling(Sampling):
    """`Sampling` of the decoder, and how the prior draws the embedding that it is told."""

    prior_steps: int = setting(25, "Steps of a diffusion prior.", low=2, high=STEPS)
    prior_guidance: float = setting(1.0, "Guidance of the prior by the text: 1 is the text alone.", low=0)
    draws: int = setting(2, "Draws of the prior, of which the one nearest to the text is taken.", low=1, high=1000)


@dataclass(frozen=True)
class NoisedSampling(ImaginedSampling):
    """`ImaginedSampling`, and how much of the embedding the decoder is to believe."""

    noise_level: int = setting(
        0, "Noise on the embedding: the more, the more various images are.", low=0, high=STEPS - 1
    )


class UnClip(nn.Module):
    """A frozen CLIP, a prior from its text to its image embedding, and a decoder of that embedding.

    Parameters
    ----------
    clip : Clip
        Trained on captions of the same vocabulary; it is frozen.
    decoder : Denoiser or LatentDiffusion
        Made with `told`.
    tokens, vocabulary : int
        Of spelled captions, and how many different ones there are.
    how : Imagining
    sampling : ImaginedSampling
        With a `NoisedSampling` the decoder hears embeddings with noise of any level, which it is told.
    words : bool
        Whether the decoder hears the text, too.
    """

    def __init__(
        self,
        clip: Clip,
        decoder: Denoiser | LatentDiffusion,
        tokens: int,
        vocabulary: int,
        how: Imagining,
        sampling: ImaginedSampling,
        words: bool = False,
    ) -> None:
        super().__init__()
        known = clip.text.config
        if known.vocab_size != max(vocabulary, END + 1) or known.max_position_embeddings != max(tokens, 2):
            raise InputError(
                "the stage 'clip' was trained on captions of another vocabulary: train it on the same data, or leave out --first."
            )
        self.clip = clip.eval().requires_grad_(False)
        self.decoder = decoder
        self.prior = PRIORS[how.prior](clip.dim, clip.width, max(tokens, 2), how)
        self.normaliser = Normaliser(clip.dim)
        self.sampling, self.words, self.noisy = sampling, words, isinstance(sampling, NoisedSampling)
        self.shape, self.critic_steps = decoder.shape, SHARES
        self.parts: dict[str, nn.Module] = {"prior": self.prior, "decoder": decoder.parts["denoiser"]}
        self.frozen: dict[str, nn.Module] = {"clip": self.clip, **getattr(decoder, "frozen", {})}

    def train(self, mode: bool = True) -> UnClip:
        """Set the mode of prior and decoder; CLIP stays as it is."""
        super().train(mode)
        self.clip.eval()
        return self

    @torch.no_grad()
    def prepare(self, image: Tensor) -> None:
        """Measure the embeddings of training images (N, C, H, W), and what the decoder needs."""
        z = self.clip.embed_image(image)
        self.normaliser.measure(z)
        self.prior.prepare(self.normaliser(z))
        self.decoder.prepare(image)

    def encode(self, x: Tensor) -> Tensor:
        """Images to the space of the decoder."""
        return self.decoder.encode(x)

    def decode(self, z: Tensor) -> Tensor:
        """Back to images."""
        return self.decoder.decode(z)

    def denoise(self, x: Tensor, sigma: Tensor, cond: dict[str, Any] | None = None) -> Tensor:
        """Expected `x0`, told the ``embedding`` (N, dim) of an image, of length 1, if there is one.

        A text is not asked for its embedding, which is drawn: see `imagine`.
        """
        told = dict(cond or {})
        if (z := told.get("embedding")) is not None:
            level = torch.zeros(len(z), dtype=torch.long, device=z.device)
            said = (z != 0).any(1, keepdim=True)  # an embedding of zeros is none
            told["embedding"] = self._heard(z, level, torch.zeros_like(z)) * said
        return self.decoder.denoise(x, sigma, told)

    def hear(self, cond: dict[str, Any], n: int, noise: Noise | None = None) -> dict[str, Any]:
        """Conditions of `n` images as `denoise` takes them: for a text an embedding is imagined."""
        if "spelled" not in cond:
            return cond
        if noise is None:
            raise ValueError("to imagine embeddings of texts takes noise")
        said = (cond["spelled"] != empty(cond["spelled"])).any(1, keepdim=True)
        told = {"embedding": self.imagine(cond, noise) * said}
        return self.decoder.hear(told | {name: cond[name] for name in ("text", "value") if self.words}, n)

    def attention(self, control: Control) -> AbstractContextManager[None]:
        """See `Denoiser.attention`."""
        return self.decoder.attention(control)

    def ends(self, sampling: Sampling | None = None) -> tuple[float, float]:
        """See `Denoiser.ends`."""
        return self.decoder.ends(sampling or self.sampling)

    def grid(self, sampling: Sampling | None = None) -> Tensor:
        """See `Denoiser.grid`."""
        return self.decoder.grid(sampling or self.sampling)

    def start(self, noise: Noise, sigma: float) -> Tensor:
        """See `Denoiser.start`."""
        return self.decoder.start(noise, sigma)

    def on_canvas(self, canvas: Canvas) -> AbstractContextManager[None]:
        """See `Denoiser.on_canvas`."""
        return self.decoder.on_canvas(canvas)

    def embed(self, x: Tensor) -> Tensor:
        """CLIP's embeddings, (N, dim) of length 1, of images in [-1, 1]."""
        return self.clip.embed_image(x)

    @torch.no_grad()
    def _told(self, spelled: Tensor) -> Told:
        longest = int((spelled != PAD).sum(1).max())  # padding says nothing and takes as long to read
        vector, words, there = self.clip.read({"spelled": spelled[:, :longest]})
        rest = spelled.shape[1] - longest
        return Told(vector, F.pad(words, (0, 0, 0, rest)), F.pad(there, (0, rest), value=False))

    def _heard(self, z: Tensor, level: Tensor, noise: Tensor) -> Tensor:
        standard = self.normaliser(z)
        return noised(standard, level, noise) if self.noisy else standard

    def heard(self, z: Tensor, noise: Noise, sampling: ImaginedSampling | None = None) -> dict[str, Any]:
        """What the decoder is told of embeddings (N, dim) of length 1, with as much noise on them as it samples with."""
        how = sampling or self.sampling
        level = torch.full((len(z),), how.noise_level if isinstance(how, NoisedSampling) else 0, device=z.device)
        return {"embedding": self._heard(z, level, noise((self.clip.dim,)))}

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        """Yield the prior's loss on all of the batch, and the decoder's on a share of it."""
        with torch.no_grad():
            z = self.clip.embed_image(batch.image)
        spelled = batch.cond["spelled"]
        spelled = torch.where((batch.uniform() >= DROPPED)[:, None], spelled, empty(spelled))
        yield "prior", self.prior.loss(self.normaliser(z), self._told(spelled), batch)
        heard = self._heard(z, random_level(batch.uniform()), batch.normal(self.clip.dim))
        cond = {"embedding": heard * (batch.uniform() >= DROPPED)[:, None]}
        if self.words:
            keep = batch.uniform() >= WORDS_DROPPED
            cond |= {name: batch.cond[name] * keep[:, None] for name in ("text", "value")}
        mine = dataclasses.replace(batch, cond=cond).share(0, SHARES)
        for _, loss in self.decoder.losses(mine, step):
            yield "decoder", loss

    def imagine(self, cond: dict[str, Any], noise: Noise, sampling: ImaginedSampling | None = None) -> Tensor:
        """Embeddings (N, dim), of length 1, of images for a text: of some draws the nearest to it (section 2.2)."""
        how = sampling or self.sampling
        spelled = cond["spelled"]
        told, against = self._told(spelled), self._told(cond.get("negative_spelled", empty(spelled)))
        drawn = [
            F.normalize(
                self.normaliser.inverse(self.prior.sample(told, against, noise, how.prior_guidance, how.prior_steps)),
                dim=-1,
            )
            for _ in range(how.draws)
        ]
        every = torch.stack(drawn, 1)
        best = (every * told.vector[:, None]).sum(-1).argmax(1)
        return every[torch.arange(len(every), device=every.device), best]

    def sample(self, n: int, cond: dict[str, Any], noise: Noise, sampling: ImaginedSampling | None = None) -> Tensor:
        """Images in [-1, 1], shape (n, C, H, W), of a text, or in its place of other images.

        These are given as ``source`` (n, C, H, W), of which variations are drawn, or as their ``embedding`` (n, dim).
        """
        how = sampling or self.sampling
        given = "embedding" in cond or "source" in cond
        if given and not self.words and "text" in cond:
            raise InputError(
                "the decoder hears no text beside an image: leave the prompt out, or train with words=true."
            )
        told = {"embedding": self.embed(cond["source"])} if "source" in cond else cond
        z = told["embedding"] if given else self.imagine(cond, noise, how)
        heard = self.heard(z, noise, how)
        if self.words:
            heard |= {name: cond[name] for name in ("text", "value") if name in cond}
        return self.decoder.sample(n, heard, noise, how)


def empty(spelled: Tensor) -> Tensor:
    """Captions that say nothing, as many and as long as those (N, L) given."""
    nothing = torch.full_like(spelled, PAD)
    nothing[:, 0], nothing[:, 1] = BEGIN, END
    return nothing


def told(clip: Clip, vocabulary: int, words: bool, noisy: bool) -> Embed:
    """What the decoder of an `UnClip` is told: embeddings (with the level of their noise), at wish the text."""
    length = 2 * clip.dim if noisy else clip.dim
    return Embed(label_dropout=0.0, embedding=length, vocabulary=vocabulary if words else 0)
