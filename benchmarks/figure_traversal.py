"""What each latent of a VAE means: one moved, the rest held at a real image.

python benchmarks/figure_traversal.py RUN OUT.png
"""

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from veridical.data.images import to_grid
from veridical.data.open import open_dataset
from veridical.models.vae.vae import divergences, traverse
from veridical.runs.run import load

ROWS, SPAN = 6, np.linspace(-3, 3, 9).tolist()
LEFT, TOP = 130, 22


def main() -> None:
    """Draw the most informative latents, most first; on the left the image that holds the rest, and its reconstruction."""
    run = load(sys.argv[1], "cpu")
    if not hasattr(run.model, "posterior"):
        sys.exit(f"{run.folder} holds a run of {run.info.recipe}: give one of vae or beta_vae.")
    dataset = open_dataset(run.info.dataset["spec"], run.info.size, window=run.window)
    tiles, _ = dataset.tiles("test")
    images = torch.from_numpy(tiles) * 2 - 1
    told = divergences(run.model, images)
    latents = told.argsort(descending=True)[:ROWS].tolist()
    # The tile nearest to the middle of the prior, from where every direction is likely.
    with torch.no_grad():
        start = images[run.model.encode(images).square().sum(1).argmin()]
        own = run.model.decode(run.model.encode(start[None])).clamp(-1, 1)
    grid = Image.fromarray(to_grid(_shown(traverse(run.model, start, latents, SPAN)), columns=len(SPAN)))
    held = Image.fromarray(to_grid(_shown(torch.stack([start[None], own])), columns=1))
    canvas = Image.new(grid.mode, (LEFT + held.width + 12 + grid.width, TOP + max(grid.height, held.height)), "white")
    canvas.paste(held, (0, TOP))
    canvas.paste(grid, (LEFT + held.width + 12, TOP))
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(13)
    side = grid.height / len(latents)
    draw.text((2, 4), "held", fill="black", font=font)
    for row, latent in enumerate(latents):
        text = f"latent {latent}\n{told[latent]:.2f} of {told.sum():.0f} nats"
        draw.text((held.width + 12, TOP + (row + 0.3) * side), text, fill="black", font=font)
    for column, value in enumerate(SPAN):
        draw.text((LEFT + held.width + 12 + (column + 0.3) * side, 4), f"{value:+.2g}", fill="black", font=font)
    Path(sys.argv[2]).parent.mkdir(parents=True, exist_ok=True)
    canvas.save(sys.argv[2], optimize=True)
    print(sys.argv[2])


def _shown(images: torch.Tensor) -> np.ndarray:
    return ((images.flatten(0, 1) + 1) / 2).numpy()


if __name__ == "__main__":
    main()
