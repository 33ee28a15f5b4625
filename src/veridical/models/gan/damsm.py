"""How well the words of a caption are found in an image: the attentional similarity of AttnGAN (Xu et al. 2018,
arXiv:1711.10485, section 3.2).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from veridical.models.text.clip import Clip, contrastive_loss, pairs_loss
from veridical.nets.dit import Block
from veridical.nets.whole import whole_batch

# gamma 1 to 3 of the paper: how sharply a word looks at regions, the best word counts, and pairs are told apart.
LOOK, BEST, PAIR = 5.0, 5.0, 10.0


def shares_of_words(words: Tensor, keep: Tensor, regions: Tensor) -> Tensor:
    """How much of each region each word has: softmax over words of their inner products (eq. 7 and 8).

    Parameters
    ----------
    words : Tensor, shape (..., L, dim)
    keep : Tensor of bool, shape (..., L)
        Which of them count.
    regions : Tensor, shape (..., K, dim)

    Returns
    -------
    Tensor, shape (..., L, K)
    """
    return (words @ regions.mT).masked_fill(~keep[..., None], -torch.inf).softmax(-2)


def word_similarity(words: Tensor, keep: Tensor, regions: Tensor) -> Tensor:
    """Similarity R(Q, D) of an image and the words of a caption (eq. 9 and 10); shapes as in `shares_of_words`.

    Every word looks at regions by its shares of them; it is compared with what it sees by the cosine, and the words are averaged
    so that the best ones count most.
    """
    look = (LOOK * shares_of_words(words, keep, regions)).softmax(-1)
    cosine = F.cosine_similarity(look @ regions, words, dim=-1)
    return (BEST * cosine).masked_fill(~keep, -torch.inf).logsumexp(-1) / BEST


class Damsm(nn.Module):
    """Maps regions and words of a frozen CLIP to one space, and says how well images fit captions.

    The paper trains a bidirectional text network and an image network for it. Here a linear map of regions and a block of
    attention over words are, beside the generator, on real pairs: to CLIP a word is all that was said before it, so that "binder"
    does not yet know how much of it there is.

    Parameters
    ----------
    regions, words, dim : int
        Lengths of a region's vector, of a word's, and in the common space (a multiple of 32).
    """

    def __init__(self, regions: int, words: int, dim: int) -> None:
        super().__init__()
        self.region, self.word = nn.Linear(regions, dim), nn.Linear(words, dim)
        self.block = Block(dim, "in_context", 0.0)

    def read(self, words: Tensor, keep: Tensor) -> Tensor:
        """Vectors (N, L, dim) of words (N, L, words), of which `keep` (N, L) count, each knowing the whole caption."""
        x: Tensor = self.word(words)
        return self.block(x, x[:, 0], x, own=keep)

    def places(self, maps: Tensor) -> Tensor:
        """Vectors (N, K, dim) of regions (N, regions, h, w)."""
        return self.region(maps.flatten(2).mT)

    def similarities(self, maps: Tensor, words: Tensor, keep: Tensor) -> Tensor:
        """Similarities (N, M) of images, by their regions (N, regions, h, w), with captions, by their words (M, L, words)."""
        longest = keep.any(0)  # padding of all captions is not worth a look
        words, keep = words[:, longest], keep[:, longest]
        return word_similarity(self.read(words, keep)[None], keep[None], self.places(maps)[:, None])

    def loss(
        self, clip: Clip, image: Tensor, text: Tensor, words: tuple[Tensor, Tensor], cond: dict[str, Any]
    ) -> Tensor:
        """Cross-entropies of images among captions and captions among images, by words and by sentences (eq. 11 to 13).

        Parameters
        ----------
        clip : Clip
        image : Tensor, shape (N, C, H, W)
        text : Tensor, shape (N, dim)
            Vectors of length 1 of captions.
        words : tuple of Tensor
            What ``clip.words`` gives.
        cond : dict
            With ``spelled``, by which equal captions are known: they are no negatives.
        """
        maps = clip.images.maps(image)
        vectors = F.normalize(clip.images.pooled(maps), dim=1)
        spelled = whole_batch(cond["spelled"])
        alike = (spelled[:, None] == spelled).all(-1)
        by_words = self.similarities(*(whole_batch(x) for x in (maps[-1], *words)))
        by_sentence = contrastive_loss(whole_batch(vectors), whole_batch(text), clip.scale(), alike)
        return pairs_loss(PAIR * by_words, alike) + by_sentence
