"""Every public function of arrays says which argument it cannot measure: NaN, infinite, empty, of another shape."""

import importlib
import inspect

import numpy as np
import pytest

from veridical.metrics import novelty

MODULES = (
    "distribution", "novelty", "paired", "physics_grey", "physics_phases", "physics_spectrum", "physics_structure",
    "physics_volume", "same", "spacing", "surrogates",
)  # fmt: skip
# Of matrices that others made, or of what `nearest_crop` found; or shapes alone.
LEFT_OUT = {
    "kernel",
    "mmd2",
    "sums",
    "distance_of_groups",
    "distances",
    "neighbour_shares_from_distances",
    "cut_crops",
    "same_crops",
    "own_crops",
    "hann",
    "iaaft",
}

RNG = np.random.default_rng(0)
IMAGES = RNG.random((3, 1, 16, 16)).astype(np.float32)
FEATURES = RNG.random((12, 4))
GIVEN = {
    "sets": IMAGES, "images": IMAGES, "tiles": IMAGES, "real": IMAGES, "synth": IMAGES, "masks": IMAGES[:, 0] > 0.5,
    "mask": IMAGES[0, 0] > 0.5, "labels": (IMAGES[:, 0] > 0.5).astype(int), "features": FEATURES, "phase": FEATURES, "classes": 2,
    "groups": np.arange(40), "test_distance": RNG.random(40), "synth_distance": RNG.random(40), "rng": RNG, "axis": 0, "reach": 2,
}  # fmt: skip


def given(module, name, argument):
    """A good value."""
    if argument in ("real", "synth") and module in ("distribution", "spacing"):
        return FEATURES
    if argument == "mask" and module == "physics_volume":
        return GIVEN["masks"]
    if argument == "labels" and name == "particle_statistics":
        return GIVEN["labels"][0]
    return list(IMAGES) if name == "nearest_crop" and argument == "images" else GIVEN[argument]


def cases():
    for module in MODULES:
        functions = vars(importlib.import_module(f"veridical.metrics.{module}"))
        for name, function in functions.items():
            if name.startswith("_") or name in LEFT_OUT or not inspect.isfunction(function):
                continue
            if function.__module__ != f"veridical.metrics.{module}":
                continue
            needed = [
                p.name for p in inspect.signature(function).parameters.values() if p.default is inspect.Parameter.empty
            ]
            for argument in needed:
                # labels may be anything
                if argument != "groups" and isinstance(given(module, name, argument), (np.ndarray, list)):
                    yield pytest.param(module, name, needed, argument, id=f"{name}-{argument}")


def bad(value):
    """Values like a good one that cannot be measured."""
    if isinstance(value, list):
        return [[*value[:-1], each] for each in bad(value[-1])]
    holed = value.astype(np.float64)
    holed.flat[1] = np.nan
    endless = value.astype(np.float64)
    endless.flat[-1] = -np.inf
    return [holed, endless, value[:0], value[..., :0], value[None, None], np.full(value.shape, "a")]


@pytest.mark.parametrize(("module", "name", "needed", "argument"), cases())
def test_what_cannot_be_measured_is_named(module, name, needed, argument):
    function = getattr(importlib.import_module(f"veridical.metrics.{module}"), name)
    good = {each: given(module, name, each) for each in needed}

    def call(given):
        return function(
            *[given[each] for each in needed if each == "sets"], **{k: v for k, v in given.items() if k != "sets"}
        )

    call(good)
    for value in bad(good[argument]):
        with pytest.raises(ValueError, match="images" if argument == "sets" else argument):  # sets of images
            call(good | {argument: value})


def test_images_too_small_to_measure_are_refused():
    from veridical.metrics.physics_spectrum import correlation_length, noise_spectrum, sharpness

    for function in (correlation_length, noise_spectrum, sharpness):
        with pytest.raises(ValueError, match="pixels"):
            function(IMAGES[:, :, :1])
    with pytest.raises(ValueError, match="apart"):
        novelty.nearest_crop(IMAGES, list(IMAGES), apart=[[]])
