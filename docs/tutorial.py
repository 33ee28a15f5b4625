# %% [markdown]
# # Tutorial: from a scan to a verdict
#
# You open images, train a generator on them for three minutes, draw samples, look at them, score them and audit them.
# The images are phantoms of a rock, so nothing has to be downloaded.
#
# This page is a script, [tutorial.py](tutorial.py). It was run when this page was built, and what it printed is what
# you see. Run it yourself with `python docs/tutorial.py`, or cell by cell in an editor or notebook that knows `# %%`.

# %%
import os
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

import veridical

MINUTES = float(os.environ.get("VERIDICAL_TUTORIAL_MINUTES", "3"))  # of training
SHORT = MINUTES < 1  # a test of this page: fewer images, a toy of a network
N, N_SCAN, N_OTHER = (16, 60, 40) if SHORT else (64, 300, 100)
SETTINGS = {"widths": (16, 32), "layers": 1, "sampling_steps": 4} if SHORT else {}
folder = Path(tempfile.mkdtemp(prefix="veridical-"))

# %% [markdown]
# ## 0. Images
#
# `scan` is what the generator learns from, `other` is another sample of the same rock, which it never sees. With your
# own images leave this step out, and write `scan = "scans/core.tif"`. On the command line: `veridical phantom rocks
# -n 300 --size 64 --out scan`.

# %%
scan, other = folder / "scan", folder / "other"
veridical.write_phantoms(scan, veridical.generate("rocks", N_SCAN, size=64))
veridical.write_phantoms(other, veridical.generate("rocks", N_OTHER, size=64, seed=1))

# %% [markdown]
# ## 1. Open
#
# `open_dataset` reads nothing yet but a first look: how many slices there are, the window of grey levels, and what is
# held out. On the command line: `veridical data scan --preview tiles.png`.

# %%
dataset = veridical.open_dataset(scan, size=64)
for name, value in dataset.summary().items():
    print(f"{name}: {value}")

# %% [markdown]
# `window` is the range of stored values that becomes [0, 1]. It is the same for all images, and it is undone when
# samples are written. `split` says how the held-out images were chosen. Which tile and scale fit what is in the images?

# %%
print(veridical.advise(dataset))

# %% [markdown]
# Look at some tiles before you train:


# %%
def show(images):
    """Eight images in a row, at twice their size."""
    row = np.concatenate(list(images[:8, 0]), axis=1)
    return Image.fromarray(np.rint(255 * row).astype(np.uint8)).resize((2 * row.shape[1], 2 * row.shape[0]), 0)


real, groups = dataset.tiles("test", n=8)
figure = show(real)
figure

# %% [markdown]
# ## 2. Train
#
# `edm` is the system to begin with ([which one to choose](choosing.md)). Three minutes on two cores are enough for a
# first look; a real job takes fifteen to sixty. On the command line: `veridical train edm scan --minutes 3 --out
# run`.

# %%
run_folder = veridical.train("edm", scan, folder / "run", minutes=MINUTES, quiet=True, **SETTINGS)
print(sorted(path.name for path in run_folder.iterdir()))

# %% [markdown]
# The folder holds the weights, everything that is needed to go on (`resume=True`), a log, and grids of samples that
# were drawn on the way ([file formats](reference/formats.md)).
#
# ## 3. Draw
#
# `draw` gives an array (N, C, H, W) in [0, 1]. Image *k* depends on the seed and *k* alone.

# %%
run = veridical.load(run_folder)
made = veridical.draw(run, 8, seed=0)
print(made.shape, made.dtype, made.min(), made.max())

# %% [markdown]
# `sample` writes files, in the bit depth and the grey levels of the data, with their provenance. On the command line:
# `veridical sample run -n 64 --out samples`.

# %%
samples = veridical.sample(run_folder, N, folder / "samples", quiet=True)
print(sorted(path.name for path in samples.iterdir()))

# %% [markdown]
# ## 4. Look
#
# Always look first. Samples are in order, unselected.

# %%
figure = show(made)
figure

# %% [markdown]
# ## 5. Score
#
# Each value stands beside its 95 % interval and beside the value that real images reach against real images. The
# headline is the distance to real (0 real, 1 random texture), `kid_over_random_phase` ([all
# metrics](reference/metrics.md)). On the command line: `veridical score other samples --train scan`.

# %%
rows = veridical.score(other, samples, floor_real=scan)
for row in rows:
    if row["value"] is not None:
        interval = "" if row["low"] is None else f"[{row['low']:.2f}, {row['high']:.2f}]"
        floor = "" if row["floor"] is None else f"real against real {row['floor']:.2f}"
        print(f"{row['metric']:24s} {row['value']:8.2f}  {interval:18s} {floor}")

# %% [markdown]
# ## 6. Audit
#
# Can the samples be trusted, and if not, why? On the command line: `veridical audit other samples --html audit.html`.

# %%
report = veridical.audit(other, samples, power=False)
print(report["verdict"])
for found in report["findings"]:
    print("-", found["explanation"])

# %% [markdown]
# After so short a training the audit finds something, and it should. Each reason gives the value of the samples and the
# range of real images. Train longer and run it again. [How to read an audit](audit.md).
#
# ## Next
#
# - [Your own images](own-images.md)
# - [Labels](labels.md): choose the porosity of the samples
# - [Comparing systems](benchmarks.md)
