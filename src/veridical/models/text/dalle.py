"""DALL-E (Ramesh et al. 2021, arXiv:2102.12092): words and codes of an image are one sequence, of which each follows from those
before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from veridical.core.batch import Batch, Noise
from veridical.core.errors import InputError
from veridical.core.settings import check, setting
from veridical.core.tokens import BEGIN, END, NEGATIVE, NUM, PAD
from veridical.models.text.clip import Clip
from veridical.models.vae.vqvae import VQVAE

HEAD = 32
WAVES = 5  # frequencies in which a network sees the value of a number
NUMBERS = ("value", "spelled")


@dataclass(frozen=True)
class Choosing:
    """How codes are drawn: it acts on sampling alone."""

    temperature: float = setting(1.0, "Below 1 likely codes are preferred; 1 draws as often as was learned.", above=0)
    top_k: int = setting(0, "Draw of so many of the likeliest codes only; 0: of all.", low=0)
    guidance_scale: float = setting(
        1.0, "Guidance by the text: 1 is the text alone; more leads away from what is likely without it.", low=0
    )
    best_of: int = setting(
        1,
        "Draw so many candidates for each image and keep the one that the clip stage finds nearest to the text.",
        low=1,
        high=1024,
    )

    def __post_init__(self) -> None:
        check(self)


class Dalle(nn.Module):
    """A causal transformer (transformers' `GPT2Model`) of the tokens of a caption and the codes of its image.

    The sequence is ``BEGIN, text, codes``; a text position after the end has a padding token of its own, and codes have
    embeddings of their row and column (section 2.2). The loss of the text counts 1/8, that of the image 7/8. Codes begin
    with embeddings made of their vectors in the codebook: codes that look alike are alike to an untrained network, too.

    Parameters
    ----------
    vqvae : VQVAE
        Trained stage that gives the codes; it is frozen.
    clip : Clip
        Trained stage that chooses among candidates; it is frozen.
    sampling : Choosing
        How it samples; it may be replaced.
    vocabulary, tokens, spelled_tokens : int
        Different tokens of the captions, and the length of a caption with values and with digits.
    width, layers : int
        Of the transformer, whose heads have 32 each.
    numbers : {"value", "spelled"}
        Whether the number of a property is one token with its value, or digits.
    text_loss : float
        Share of the text in the loss.
    text_dropout : float
        Share of captions that are left out: guidance needs to know what is likely without them.
    word_dropout : float
        Share of words that are not shown.
    """

    def __init__(
        self,
        vqvae: VQVAE,
        clip: Clip,
        sampling: Choosing,
        vocabulary: int = 0,
        tokens: int = 0,
        spelled_tokens: int = 0,
        width: int = 128,
        layers: int = 4,
        numbers: str = "value",
        text_loss: float = 0.125,
        text_dropout: float = 0.1,
        word_dropout: float = 0.05,
    ) -> None:
        from transformers import GPT2Config, GPT2Model

        super().__init__()
        if width % HEAD:
            raise InputError(f"width={width} must be a multiple of {HEAD}: choose another.")
        if numbers not in NUMBERS:
            raise InputError(f"there is no numbers={numbers!r}: use one of {', '.join(NUMBERS)}.")
        for name, share in {"text_loss": text_loss, "text_dropout": text_dropout, "word_dropout": word_dropout}.items():
            if share > 1:
                raise InputError(f"{name}={share} is a share: give a number from 0 to 1.")
        known = clip.text.config
        if (known.vocab_size, known.max_position_embeddings) != (max(vocabulary, END + 1), max(spelled_tokens, 2)):
            raise InputError(
                "the clip stage has learned other captions: train it on the same data, or leave out --first."
            )
        self.vqvae, self.clip = vqvae.eval().requires_grad_(False), clip.eval().requires_grad_(False)
        self.frozen: dict[str, nn.Module] = {"vqvae": self.vqvae, "clip": self.clip}
        self.sampling = sampling
        self.numbers, self.text_loss = numbers, text_loss
        self.text_dropout, self.word_dropout = text_dropout, word_dropout
        # Of a spelled caption its first token is BEGIN, which every sequence has.
        self.tokens = max(1, tokens if numbers == "value" else spelled_tokens - 1)
        self.vocabulary, self.shape = max(vocabulary, END + 1), vqvae.shape
        words = self.vocabulary + self.tokens  # and a padding token for each place
        self.gpt = GPT2Model(
            GPT2Config(
                vocab_size=words,
                n_positions=1 + self.tokens + self.shape[0] * self.shape[1],
                n_embd=width,
                n_layer=layers,
                n_head=width // HEAD,
                activation_function="gelu_pytorch_tanh",
                resid_pdrop=0.0,
                embd_pdrop=0.0,
                attn_pdrop=0.0,
                bos_token_id=BEGIN,
                eos_token_id=BEGIN,
            )
        )
        self.value = nn.Linear(2 * WAVES, width, bias=False)
        self.code = nn.Embedding(vqvae.codes, width)
        self.row, self.column = nn.Embedding(self.shape[0], width), nn.Embedding(self.shape[1], width)
        self.next_word, self.next_code = nn.Linear(width, words, bias=False), nn.Linear(width, vqvae.codes)
        std = self.gpt.config.initializer_range
        for layer in (self.value, self.row, self.column, self.next_word):
            nn.init.normal_(layer.weight, std=std)
        vectors = vqvae.codebook.vectors
        vectors = (vectors - vectors.mean(0)) / (vectors.std() * vectors.shape[1] ** 0.5).clamp(min=1e-6)
        for weight in (self.code.weight, self.next_code.weight):
            weight.data = std * vectors @ torch.randn(vectors.shape[1], width)
        ours = [self.value, self.code, self.row, self.column, self.next_word, self.next_code]
        self.parts: dict[str, nn.Module] = {"dalle": nn.ModuleList([self.gpt, *ours])}

    def train(self, mode: bool = True) -> Dalle:
        """Set the mode of the transformer; the stages stay as they are."""
        super().train(mode)
        self.vqvae.eval()
        self.clip.eval()
        return self

    def read(self, cond: dict[str, Any], of: str = "") -> tuple[Tensor, Tensor]:
        """Text tokens (N, tokens), padding by place, and the values of those that are numbers, of conditions ``of + name``."""
        if self.numbers == "value":
            ids, value = cond[f"{of}text"], cond[f"{of}value"].float()
        else:
            ids = cond[f"{of}spelled"][:, 1:]
            ids, value = ids.masked_fill(ids == END, PAD), torch.zeros(ids.shape, device=ids.device)
        space = (0, self.tokens - ids.shape[1])
        return self._padded(F.pad(ids, space)), F.pad(value, space)

    def _padded(self, ids: Tensor) -> Tensor:
        places = self.vocabulary + torch.arange(self.tokens, device=ids.device)
        return torch.where(ids == PAD, places, ids)

    def embed_text(self, ids: Tensor, value: Tensor) -> Tensor:
        """BEGIN and text tokens (N, tokens) with their values as vectors (N, 1 + tokens, width), without places."""
        angle = value[..., None] * 2.0 ** torch.arange(-1, WAVES - 1, device=value.device)
        waves = torch.cat([angle.sin(), angle.cos()], -1) * (ids == NUM)[..., None]
        words = self.gpt.wte(ids) + self.value(waves)
        begin = self.gpt.wte.weight[BEGIN].expand(len(ids), 1, -1)
        return torch.cat([begin, words], 1)

    def embed_codes(self, codes: Tensor, first: int = 0) -> Tensor:
        """Codes (N, K), row by row from the number `first` on, as vectors (N, K, width) with row and column."""
        k = torch.arange(first, first + codes.shape[1], device=codes.device)
        return self.code(codes) + self.row(k // self.shape[1]) + self.column(k % self.shape[1])

    def hidden(self, x: Tensor, past: Any = None) -> Tensor:
        """What the transformer makes of vectors (N, K, width), after those in the cache `past`; it adds their places."""
        found: Tensor = self.gpt(inputs_embeds=x, past_key_values=past, use_cache=past is not None).last_hidden_state
        return found

    def logits(self, ids: Tensor, value: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of all text tokens (N, tokens, words) and codes (N, K, codes), each given those before it.

        Parameters
        ----------
        ids, value : Tensor, shape (N, tokens)
            As `read` gives them.
        codes : Tensor of int64, shape (N, K)
        """
        x = torch.cat([self.embed_text(ids, value), self.embed_codes(codes[:, :-1])], 1)
        found = self.hidden(x)
        return self.next_word(found[:, : self.tokens]), self.next_code(found[:, self.tokens :])

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        """Yield the cross-entropy of the text and of the codes, in nats a token, weighed (section 2.2)."""
        with torch.no_grad():
            codes = self.vqvae.encode(batch.image).flatten(1)
        ids, value = self.read(batch.cond)
        keep = batch.uniform() >= self.text_dropout
        ids = torch.where(keep[:, None], ids, self._padded(torch.zeros_like(ids)))
        shown = torch.where(batch.uniform(self.tokens) >= self.word_dropout, ids, self._padded(torch.zeros_like(ids)))
        words, places = self.logits(shown, value, codes)
        text = F.cross_entropy(words.flatten(0, 1), ids.flatten())
        image = F.cross_entropy(places.flatten(0, 1), codes.flatten())
        yield "dalle", self.text_loss * text + (1 - self.text_loss) * image

    def sample(self, n: int, cond: dict[str, Any], noise: Noise) -> Tensor:
        """Draw codes after the text, decode them and keep the candidate nearest to the text; images (n, C, H, W) in [-1, 1]."""
        count = self.shape[0] * self.shape[1]
        best, kept = None, None
        for _ in range(self.sampling.best_of):
            image = self.vqvae.decode(self._draw(cond, noise((count,))).unflatten(1, self.shape)).clamp(-1, 1)
            if self.sampling.best_of == 1:
                return image
            near = (self.clip.embed_image(image) * self.clip.embed_text(cond)).sum(1)
            if kept is None or best is None:
                best, kept = near, image
            better = near > best
            best, kept = torch.where(better, near, best), torch.where(better[:, None, None, None], image, kept)
        assert kept is not None
        return kept

    def _draw(self, cond: dict[str, Any], normal: Tensor) -> Tensor:
        """Codes (N, K) of standard normal noise (N, K), which becomes uniform for the inverse of the cumulative distribution."""
        from transformers import DynamicCache

        how, n = self.sampling, len(normal)
        uniform = torch.special.ndtr(normal.double())
        ids, value = self.read(cond)
        if guided := how.guidance_scale != 1:
            other = self.read(cond, NEGATIVE) if f"{NEGATIVE}text" in cond else (self._padded(ids * PAD), value)
            ids, value = torch.cat([ids, other[0]]), torch.cat([value, other[1]])
        past = DynamicCache(config=self.gpt.config)
        x, codes = self.embed_text(ids, value), torch.zeros_like(normal, dtype=torch.long)
        for k in range(normal.shape[1]):
            logits = self.next_code(self.hidden(x, past)[:, -1])
            if guided:
                logits = logits[n:] + how.guidance_scale * (logits[:n] - logits[n:])
            codes[:, k] = _choose(logits, uniform[:, k : k + 1], how)
            x = self.embed_codes(codes[:, k : k + 1].repeat(2 if guided else 1, 1), k)
        return codes


def _choose(logits: Tensor, uniform: Tensor, how: Choosing) -> Tensor:
    """Codes (N,) drawn by the softmax of `logits` (N, codes)."""
    logits = logits.double() / how.temperature
    if 0 < how.top_k < logits.shape[1]:
        logits = logits.masked_fill(logits < logits.topk(how.top_k).values[:, -1:], -torch.inf)
    steps = logits.softmax(1).cumsum(1)
    return (steps[:, :-1] < uniform).sum(1)
