"""Large images of a run beside real slices: seams, statistics everywhere, long correlations, repeats, audit of crops, cost.

    python benchmarks/large_images.py RUN --slices DATA/slices --tiles DATA/test [--size 1024] [-n 1] [--centre 1.0] [--out DIR]

RUN is a diffusion run of tiles of one material, ``--slices`` holds larger real images of it, ``--tiles`` real ones for the
audit (``none``: without it). ``--centre`` is the share of each slice, about its middle, that shows the material. Everything is
compared on squares of one side, cut out of both. The column ``planted`` is the share of real squares with a defect in which a
test finds it (a value beyond that of every real square): what a test cannot find it does not exclude. Images are drawn into DIR
by ``veridical.sample``; a stopped draw goes on.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table
from scipy.signal import fftconvolve
from scipy.stats import mannwhitneyu, t
from skimage.feature import match_template

import veridical
from veridical.diffusion.tiles import OVERLAP

LAGS = (8, 16, 32, 48, 64, 96, 128, 192)  # pixels
SHARES = (0.05, 0.1, 0.2, 0.4)  # of the contrast that jumps at planted seams
PATCH, PATCHES = 40, 24  # pixels along a side, and how many of an image are looked for elsewhere


def profiles(image: np.ndarray) -> list[np.ndarray]:
    """How much neighbours differ, on average over a column, for each column, and likewise for rows."""
    return [np.abs(np.diff(image, axis=axis)).mean(1 - axis) for axis in (0, 1)]


def comb_power(image: np.ndarray, period: int) -> float:
    """Power of `profiles` at the period and its first eight multiples, in units of what is around them; 1 without seams."""
    found = []
    for line in profiles(image):
        line = (line - line.mean()) * np.hanning(len(line))
        frequency = np.arange(1, 9) / period
        near = frequency[:, None] + np.linspace(-0.4, 0.4, 17) / period

        def power(at: np.ndarray, line: np.ndarray = line) -> np.ndarray:
            wave = np.exp(-2j * np.pi * at[..., None] * np.arange(len(line)))
            return np.abs(wave @ line) ** 2

        around = np.delete(power(near), slice(6, 11), axis=1).mean(1)
        found.append(float(np.mean(power(frequency) / around)))
    return max(found)


def edge_excess(image: np.ndarray, period: int) -> float:
    """How far columns (or rows) at one place of a period stand out by their `profiles`, in robust deviations of the others."""
    found = []
    for line in profiles(image):
        whole = line[: len(line) // period * period].reshape(-1, period).mean(0)
        spread = 1.4826 * np.median(np.abs(whole - np.median(whole)))
        found.append(float((whole.max() - np.median(whole)) / spread))
    return max(found)


def correlation(image: np.ndarray) -> np.ndarray:
    """Two-point correlation at `LAGS`, the mean of both axes; 1 at lag 0."""
    x = image - image.mean()
    found = []
    for lag in LAGS:
        across, down = (x[:, lag:] * x[:, :-lag]).mean(), (x[lag:] * x[:-lag]).mean()
        found.append((across + down) / 2 / x.var())
    return np.array(found)


def far_peak(image: np.ndarray, nearest: int) -> float:
    """The highest autocorrelation at a lag of more than `nearest` pixels along a side and at most half of the image."""
    x = image - image.mean()
    size = len(x)
    ones = np.ones_like(x)
    product = fftconvolve(x, x[::-1, ::-1]) / fftconvolve(ones, ones).round() / x.var()
    middle = product[size // 2 : -(size // 2), size // 2 : -(size // 2)].copy()
    here = middle.shape[0] // 2
    middle[here - nearest : here + nearest + 1, here - nearest : here + nearest + 1] = -1
    return float(middle.max())


def best_repeat(image: np.ndarray) -> float:
    """The highest normalised correlation of patches of an image with a place of it that they do not touch."""
    rng = np.random.default_rng(0)
    best = -1.0
    for top, left in rng.integers(0, len(image) - PATCH, (PATCHES, 2)):
        found = match_template(image, image[top : top + PATCH, left : left + PATCH])
        found[max(0, top - PATCH) : top + PATCH, max(0, left - PATCH) : left + PATCH] = -1
        best = max(best, float(found.max()))
    return best


def seamed(image: np.ndarray, period: int, share: float) -> np.ndarray:
    """Tiles side by side, each with a share of another place of the image: the contrast is kept, borders are jumps."""
    rng = np.random.default_rng(1)
    mean, made = image.mean(), image.copy()
    for top in range(0, len(image), period):
        for left in range(0, len(image), period):
            other = np.roll(image, rng.integers(period, len(image) - period, 2), (0, 1))
            here = (slice(top, top + period), slice(left, left + period))
            made[here] = mean + np.sqrt(1 - share**2) * (image[here] - mean) + share * (other[here] - mean)
    return made


def copied(image: np.ndarray) -> np.ndarray:
    """The image with a quarter of its side squared copied elsewhere, under noise of a third of the contrast."""
    side, made = len(image) // 4, image.copy()
    made[-side - 9 : -9, 13 : 13 + side] = image[21 : 21 + side, -side - 5 : -5]
    return made + np.random.default_rng(2).normal(0, image.std() / 3, image.shape).astype(image.dtype)


def repeated(image: np.ndarray, share: float) -> np.ndarray:
    """The image with a share of it, moved by a third of its sides, over it, equal in contrast."""
    x = image - image.mean()
    return image.mean() + np.sqrt(1 - share**2) * x + share * np.roll(x, (len(x) // 3, len(x) // 3 - 9), (0, 1))


def squares(images: list[np.ndarray], side: int, centre: float) -> list[np.ndarray]:
    """Squares of a side, side by side, in the middle share of images."""
    found = []
    for image in images:
        rows, columns = (int(length * centre) for length in image.shape)
        for top in range((image.shape[0] - rows) // 2, (image.shape[0] + rows) // 2 - side + 1, side):
            for left in range((image.shape[1] - columns) // 2, (image.shape[1] + columns) // 2 - side + 1, side):
                found.append(image[top : top + side, left : left + side])
    return found


def everywhere(image: np.ndarray, tile: int, spoil: float = 0.0) -> dict[str, float]:
    """Whether tiles at the border of an image differ from those inside in mean and contrast: p of a rank test.

    `spoil` takes that share of the contrast from those at the border, to see what the test finds.
    """
    count = len(image) // tile
    tiles = image[: count * tile, : count * tile].reshape(count, tile, count, tile).swapaxes(1, 2)
    mean, deviation = tiles.mean((2, 3)), tiles.std((2, 3))
    edge = np.zeros((count, count), bool)
    edge[[0, -1]] = edge[:, [0, -1]] = True
    deviation = np.where(edge, (1 - spoil) * deviation, deviation)
    return {
        "mean": float(mannwhitneyu(mean[edge], mean[~edge]).pvalue),
        "contrast": float(mannwhitneyu(deviation[edge], deviation[~edge]).pvalue),
    }


def test_row(
    table: Table,
    name: str,
    statistic: Callable[[np.ndarray], float],
    real: list[np.ndarray],
    drawn: list[np.ndarray],
    planted: dict[str, Callable[[np.ndarray], np.ndarray]],
) -> None:
    """One line: the range of real squares, those drawn, how many of them lie beyond, and what would have been found."""
    of_real, of_drawn = ([statistic(image) for image in images] for images in (real, drawn))
    most = max(of_real)
    found = [
        f"{what}: {sum(statistic(plant(x)) > most for x in real)} of {len(real)}" for what, plant in planted.items()
    ]
    beyond = sum(value > most for value in of_drawn)
    table.add_row(
        name, f"{min(of_real):.3g} to {most:.3g}", f"{min(of_drawn):.3g} to {max(of_drawn):.3g}", f"{beyond} of {len(drawn)}",
        "\n".join(found),
    )  # fmt: skip


def cut(files: list[Path], folder: Path, tile: int, step: int) -> Path:
    """Write tiles of image files, whose names say the place."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in files:
        with Image.open(path) as image:
            for top in range(0, image.height - tile + 1, step):
                for left in range(0, image.width - tile + 1, step):
                    image.crop((left, top, left + tile, top + tile)).save(folder / f"{path.stem}_y{top}x{left}.png")
    return folder


def audited(real: Path, folder: Path) -> tuple[str, dict[str, float | None]]:
    """Verdict, passing images and findings, and the headline score with recall."""
    result = veridical.audit(str(real), str(folder), power=False)
    passed = sum(image["verdict"] == "pass" for image in result["images"])
    defects = [finding["defect"] for finding in result["findings"]]
    rows = {row["metric"]: row["value"] for row in veridical.score(str(real), str(folder))}
    words = f"{result['verdict']}, {passed} of {len(result['images'])} images pass; {', '.join(defects[:6]) or 'no finding'}"
    return words, {name: rows.get(name) for name in ("kid_over_random_phase", "recall")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--slices", type=Path, required=True)
    parser.add_argument("--tiles", required=True)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("-n", type=int, default=1)
    parser.add_argument("--centre", type=float, default=1.0)
    parser.add_argument("--crops", type=int, default=128, help="crops that are audited, beside as many tiles")
    parser.add_argument("--out", type=Path, default=Path("runs/large"))
    options = parser.parse_args()
    run = veridical.load(options.run)
    tile = run.info.size
    stride = int(tile * (1 - OVERLAP))
    before = len(list((options.out / "large").glob("*_?????.*")))
    began = time.process_time()
    folder = veridical.sample(options.run, options.n, options.out / "large", size=options.size, quiet=True)
    spent = time.process_time() - began
    provenance = json.loads((folder / "provenance.json").read_text())
    large, slices = (
        [np.asarray(Image.open(path), np.float64) / 255 for path in sorted(where.glob(pattern))]
        for where, pattern in ((folder, f"{provenance['recipe']}_*.png"), (options.slices, "*.png"))
    )
    side = min(options.size // 2, int(options.centre * min(min(image.shape) for image in slices)))
    real, drawn = squares(slices, side, options.centre), squares(large, side, 1.0)
    print(
        f"veridical {veridical.__version__}; {len(real)} real and {len(drawn)} drawn squares of {side} x {side} pixels"
    )
    table = Table("", "real", "drawn", "beyond all real", "planted in real, found", box=None)
    for period in (stride, tile):
        seams = {f"{share:g} of contrast": lambda x, p=period, s=share: seamed(x, p, s) for share in SHARES}
        test_row(table, f"power at {period} px", lambda x, p=period: comb_power(x, p), real, drawn, seams)
        test_row(table, f"edges every {period} px", lambda x, p=period: edge_excess(x, p), real, drawn, seams)
    whole = {f"{share:g} of all again": lambda x, s=share: repeated(x, s) for share in SHARES[1:]}
    nearest = min(2 * tile, side // 4)
    test_row(table, f"autocorrelation beyond {nearest} px", lambda x: far_peak(x, nearest), real, drawn, whole)
    test_row(table, f"best repeat of {PATCH} px", best_repeat, real, drawn, {"a patch again": copied})
    of_real, of_drawn = (np.array([correlation(x) for x in images]) for images in (real, drawn))
    half = t.ppf(0.975, len(real) - 1) * of_real.std(0, ddof=1) * np.sqrt(1 + 1 / len(real))
    for k, lag in enumerate(LAGS):
        mean, mine = of_real[:, k].mean(), of_drawn[:, k]
        outside = int((np.abs(mine - mean) > half[k]).sum())
        table.add_row(
            f"correlation at {lag} px", f"{mean:.3f} ± {half[k]:.3f}", f"{mine.min():.3f} to {mine.max():.3f}",
            f"{outside} of {len(drawn)}", "",
        )  # fmt: skip
    for name, values in (("mean", np.mean), ("contrast", np.std)):
        ends = [[float(values(x)) for x in images] for images in (real, drawn)]
        table.add_row(name, *(f"{min(e):.3f} to {max(e):.3f}" for e in ends), "", "")
    for k, image in enumerate(large):
        p, spoiled = everywhere(image, tile), everywhere(image, tile, 0.2)
        table.add_row(
            f"border and inside, image {k}: p", "", f"mean {p['mean']:.2g}, contrast {p['contrast']:.2g}", "",
            f"contrast less by 0.2: p {spoiled['contrast']:.1g}",
        )  # fmt: skip
    pixels = options.size**2 / 1e6
    wall = f"{provenance['seconds_per_image'] / pixels:.0f} by the clock"
    share = "" if before else f", {spent / pixels / options.n:.0f} of one core"
    table.add_row("seconds a megapixel", "", wall + share, "", "")
    if options.tiles != "none":
        step = max(tile, int(options.size * np.sqrt(options.n / options.crops)) // 2 * 2)
        crops = cut(sorted(folder.glob(f"{provenance['recipe']}_*.png")), options.out / "crops", tile, step)
        real_tiles = cut(sorted(Path(options.tiles).glob("*.png")), options.out / "real", tile, tile)
        count = len(list(crops.glob("*.png")))
        tiles = veridical.sample(options.run, count, options.out / "tiles", quiet=True)
        for name, where in (("crops", crops), ("tiles", tiles)):
            words, scores = audited(real_tiles, where)
            said = ", ".join(f"{key} {value:.3f}" for key, value in scores.items() if value is not None)
            table.add_row(f"{count} {name}", "", f"{said}\n{words}", "", "")
    Console(width=170).print(table)


if __name__ == "__main__":
    main()
