"""How long does the search for copies take, and what does it find?

    python benchmarks/copies.py DATA [--tiles 1000] [--size 64]

DATA are images larger than a tile; as always, the last or those in test/ are held out. Each set of tiles is compared with all
crops of the other images in 8 orientations. Printed are the CPU seconds on one thread, and for each set the share that counts
as memorised; that of unseen real tiles should be near the floor, blurred or not, and that of copies 1.
"""

import argparse
import os
import time

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import numpy as np
from scipy.ndimage import gaussian_filter

from veridical.data.open import open_dataset
from veridical.metrics.novelty import memorised_threshold, nearest_crop
from veridical.metrics.surrogates import surrogates


def main() -> None:
    """Search, and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    parser.add_argument("--tiles", type=int, default=1000)
    parser.add_argument("--size", type=int, default=64)
    options = parser.parse_args()
    data = open_dataset(options.data, options.size, augment="dihedral", test_fraction=0.1)
    images, _, share = data.regions("train")
    n, rng = options.tiles, np.random.default_rng(0)
    copies = data.batch(n, 0, 0)["image"]
    began = time.process_time()
    nearest_crop(copies, images)
    seconds = time.process_time() - began
    places = sum((image.shape[1] - options.size + 1) * (image.shape[2] - options.size + 1) for image in images)
    print(f"{len(images)} images, {sum(image[0].size for image in images) / 1e6:.1f} Mpixels ({share:.0%} of the data)")
    print(
        f"{n} tiles of {options.size} pixels against {places / 1e6:.2f} million places in 8 orientations: {seconds:.1f} s"
    )

    real = data.tiles("test")[0]
    test, fresh, few = real[::2], real[1::2], copies[:200]
    noise = 0.05 * rng.standard_normal(few.shape)
    sets = {
        "copies": few,
        "copies, noise 0.05": few + noise,
        "copies, blur 1": gaussian_filter(few, (0, 0, 1, 1)),
        "copies, blur 2": gaussian_filter(few, (0, 0, 2, 2)),
        "copies, blur 1, half contrast, noise": 0.3 + 0.5 * gaussian_filter(few, (0, 0, 1, 1)) + noise / 3,
        "unseen": fresh,
        **{f"unseen, blur {s}": gaussian_filter(fresh, (0, 0, s, s)) for s in (1, 2, 4)},
        "unseen, noise 0.05": fresh + 0.05 * rng.standard_normal(fresh.shape),
        "random phase": surrogates(few, rng),
    }
    threshold, chance = memorised_threshold(nearest_crop(test, images).distance)
    print(f"\n{len(test)} unseen tiles set the threshold {threshold:.3f}; floor {chance:.3f}\n")
    print(f"{'tiles':<38}{'n':>5}{'memorised':>11}{'distance: 5 %':>15}{'50 %':>7}{'95 %':>7}")
    for name, tiles in sets.items():
        distance = nearest_crop(np.clip(tiles, 0, 1), images).distance
        low, median, high = np.quantile(distance, (0.05, 0.5, 0.95))
        print(
            f"{name:<38}{len(tiles):>5}{np.mean(distance < threshold):>11.3f}{low:>15.3f}{median:>7.3f}{high:>7.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
