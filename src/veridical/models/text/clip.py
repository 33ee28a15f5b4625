"""CLIP of one's own domain (Radford et al. 2021, arXiv:2103.00020): images and their captions become near vectors."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from veridical.core.batch import Batch
from veridical.core.errors import InputError
from veridical.core.tokens import BEGIN, END, PAD
from veridical.nets.standardise import Standardise
from veridical.nets.whole import whole_batch


class Scale(nn.Module):
    """The inverse temperature of similarities; it is learned, and kept from growing beyond 100 (section 2.5)."""

    def __init__(self) -> None:
        super().__init__()
        self.log = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def forward(self) -> Tensor:
        return self.log.clamp(max=math.log(100)).exp()


class ChannelNorm(nn.LayerNorm):
    """Channels of each place of a map (N, C, H, W) with mean 0 and deviation 1 (Liu et al. 2022, arXiv:2201.03545).

    Norms over a whole map make a few thin roots as loud as many: how much there is of something would be lost.
    """

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.movedim(1, -1)).movedim(-1, 1)


class ImageTower(nn.Module):
    """Images (N, C, S, S) to vectors (N, dim).

    A small residual network whose levels are all heard: fractions and counts are sums of small parts, which the finest level
    sees best. Images are standardised, as dark ones of little contrast would be learned slowly.

    Parameters
    ----------
    channels : int
    widths : tuple of int
        Channels of each resolution, each half of the one before; the first is that of squares of 2 x 2 pixels.
    dim : int
    """

    def __init__(self, channels: int, widths: tuple[int, ...], dim: int) -> None:
        from diffusers.models.downsampling import Downsample2D
        from diffusers.models.resnet import ResnetBlock2D

        super().__init__()
        if not widths or any(width < 16 or width % 16 for width in widths):
            raise InputError(f"widths={widths} cannot be: give multiples of 16, such as 32,64,128.")
        self.factor, self.width = 2 ** len(widths), widths[-1]
        self.standard = Standardise()
        self.into = nn.Conv2d(4 * channels, widths[0], 3, padding=1, padding_mode="reflect")
        self.down, self.blocks = nn.ModuleList([nn.Identity()]), nn.ModuleList()
        for before, after in zip((widths[0], *widths[:-1]), widths, strict=True):
            if len(self.blocks):
                self.down.append(Downsample2D(before, use_conv=True))
            block: Any = ResnetBlock2D(in_channels=before, out_channels=after, temb_channels=cast(int, None), groups=8)
            block.norm1, block.norm2 = ChannelNorm(before), ChannelNorm(after)
            self.blocks.append(block)
        self.norms = nn.ModuleList([ChannelNorm(width) for width in widths])
        self.out = nn.Linear(2 * sum(widths), dim)

    def maps(self, x: Tensor) -> list[Tensor]:
        """Features (N, width, S / 2, S / 2), (N, width, S / 4, S / 4), ..."""
        x = self.into(F.pixel_unshuffle(self.standard(x), 2))
        found = []
        for down, block, norm in zip(self.down, self.blocks, self.norms, strict=True):
            x = block(down(x), None)
            found.append(F.silu(norm(x)))
        return found

    def pooled(self, maps: list[Tensor]) -> Tensor:
        """Vectors of `maps`."""
        # The mean says how much of something there is, the deviation how it varies.
        pooled = [[seen.mean((2, 3)), (seen.var((2, 3), unbiased=False) + 1e-6).sqrt()] for seen in maps]
        return self.out(torch.cat([part for pair in pooled for part in pair], 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.pooled(self.maps(x))


class Clip(nn.Module):
    """Two towers, trained so that of a batch each image is nearest to its own caption.

    The text tower is transformers' `CLIPTextModel`; it reads numbers digit by digit, as pipelines of other libraries do.

    Parameters
    ----------
    channels, size : int
    vocabulary, spelled_tokens : int
        Different tokens, and tokens of a caption (`Vocabulary.spell`).
    widths : tuple of int
        Channels of each resolution of the image tower.
    dim : int
        Length of the vectors.
    width, layers : int
        Of the text tower, whose heads have 32 each.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        vocabulary: int = 0,
        spelled_tokens: int = 0,
        widths: tuple[int, ...] = (32, 64, 128),
        dim: int = 128,
        width: int = 96,
        layers: int = 2,
    ) -> None:
        from transformers import CLIPTextConfig, CLIPTextModel

        super().__init__()
        self.dim, self.width = dim, width
        self.images = ImageTower(channels, widths, dim)
        if size % self.images.factor:
            raise InputError(
                f"tiles of {size} pixels do not divide by {self.images.factor}: choose another --size or fewer widths."
            )
        if width % 32:
            raise InputError(f"width={width} must be a multiple of 32: choose another.")
        self.text = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=max(vocabulary, END + 1),
                hidden_size=width,
                intermediate_size=4 * width,
                num_hidden_layers=layers,
                num_attention_heads=width // 32,
                max_position_embeddings=max(spelled_tokens, 2),
                projection_dim=dim,
                bos_token_id=BEGIN,
                eos_token_id=END,
                pad_token_id=PAD,
            )
        )
        self.projection = nn.Linear(width, dim, bias=False)
        self.scale = Scale()
        towers = nn.ModuleList([self.images, self.text, self.projection, self.scale])
        self.parts: dict[str, nn.Module] = {"clip": towers}

    def prepare(self, image: Tensor) -> None:
        """Measure brightness and contrast of the data."""
        self.images.standard.measure(image)

    def embed_image(self, x: Tensor) -> Tensor:
        """Vectors of length 1, (N, dim), of images in [-1, 1]."""
        return F.normalize(self.images(x), dim=-1)

    def embed_text(self, cond: dict[str, Any]) -> Tensor:
        """Vectors of length 1, (N, dim), of captions: their array ``spelled``."""
        # What fills up the shorter ones says nothing, and nothing before it heeds it: it need not be read.
        longest = int((cond["spelled"] != PAD).sum(1).max()) if len(cond["spelled"]) else 0
        return self.read({"spelled": cond["spelled"][:, :longest]})[0]

    def words(self, cond: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """What cross-attention attends to: vectors of tokens (N, L, width), and which of them count (N, L)."""
        return self.read(cond)[1:]

    def read(self, cond: dict[str, Any]) -> tuple[Tensor, Tensor, Tensor]:
        """`embed_text` and `words` at once."""
        found = self._read(cond["spelled"])
        vectors = F.normalize(self.projection(found.pooler_output), dim=-1)
        return vectors, found.last_hidden_state, cond["spelled"] != PAD

    def regions(self, x: Tensor) -> Tensor:
        """Features of squares of images, before pooling: (N, widths[-1], S / factor, S / factor)."""
        return self.images.maps(x)[-1]

    def _read(self, ids: Tensor) -> Any:
        return self.text(input_ids=ids, attention_mask=(ids != PAD).long())

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        """Yield the symmetric cross-entropy of the similarities (section 2.3, figure 3)."""
        image, text = whole_batch(self.embed_image(batch.image)), whole_batch(self.embed_text(batch.cond))
        spelled = whole_batch(batch.cond["spelled"])
        yield "clip", contrastive_loss(image, text, self.scale(), (spelled[:, None] == spelled).all(-1))


def caption_vectors(clip: Clip, cond: dict[str, Any]) -> Tensor:
    """Vectors (N, dim) of captions by a frozen tower, as loud as standard normal noise: what generators are told."""
    return clip.embed_text(cond) * math.sqrt(clip.dim)


def contrastive_loss(image: Tensor, text: Tensor, scale: Tensor | float, alike: Tensor | None = None) -> Tensor:
    """Mean of the cross-entropies of images among captions and of captions among images.

    Parameters
    ----------
    image, text : Tensor, shape (N, dim)
        Vectors of length 1; row k of both are a pair.
    scale : Tensor or float
        Inverse temperature.
    alike : Tensor of bool, shape (N, N), optional
        Captions that say the same: an image with the very caption of another is no negative of it.
    """
    return pairs_loss(scale * image @ text.mT, alike)


def pairs_loss(logits: Tensor, alike: Tensor | None = None) -> Tensor:
    """Mean of the cross-entropies of rows among columns and of columns among rows, of logits (N, N) whose diagonal is of pairs.

    `alike` as in `contrastive_loss`.
    """
    if alike is not None:
        others = alike & ~torch.eye(len(alike), dtype=torch.bool, device=alike.device)
        logits = logits.masked_fill(others, -torch.inf)
    pairs = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, pairs) + F.cross_entropy(logits.mT, pairs)) / 2
