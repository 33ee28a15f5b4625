"""Two processes are one: every recipe with half of the rows each against the whole batch in one process; they agree on what
they measure and how far they are, and leave no thread.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from toy import TOY, write_tiles
from veridical.recipes import table
from veridical.runs.tensors import read_tensors
from veridical.training.start import train

# Statistics of the batch, comparisons within it, shares of it, a codebook of it, images kept of it.
FEW = ("dcgan", "cgan", "wgan_gp", "vqvae", "cyclegan")
SCRIPT = """
import json, os, sys
import torch
torch.set_num_threads(1)
from veridical.core import device
from veridical.core.batch import Batch
from veridical.recipes.table import build

rank = int(os.environ["RANK"])
world = device.World(torch.device("cpu"))
assert world.largest(0.25 + rank / 2, -rank, rank == 1) == [0.75, 0, 1]
assert device.average_over_processes(torch.tensor([1.0, rank])).tolist() == [1, 0.5]

torch.manual_seed(0)
model = build("stylegan", 1, 16, {"width": 4, "latent": 8, "mapping": 2, "path_length": 1.0})
image = torch.rand(4, 1, 16, 16) + rank
batch = Batch.at(image, {}, seed=0, step=0, start=4 * rank, total=8)
for _ in model.losses(batch, 0):
    pass
measured = [*model.mean_style.tolist(), model.mean_path.item(), model.augment.probability.item()]
assert any(measured) and world.largest(*measured) == [-x for x in world.largest(*(-x for x in measured))]
weights = torch.ones(3, requires_grad=True)
weights.sum().backward()
world.average([weights.grad])
torch.optim.AdamW([weights]).step()

from veridical.training.start import train  # after the group: what is imported now must not keep it

for recipe, given in json.loads(sys.argv[1]).items():
    train(recipe, out=os.path.join(sys.argv[2], recipe), **given)

# A thread of the process group that outlives it aborts the interpreter now and then while it ends.
if os.path.isdir("/proc/self/task"):
    names = lambda: {open(f"/proc/self/task/{task}/comm").read() for task in os.listdir("/proc/self/task")}
    assert any("gloo" in name for name in names())
    device._leave()
    assert not any("gloo" in name for name in names()), names()
"""


def settings(recipe, data):
    row, toy = table.RECIPES[recipe], dict(TOY[recipe])
    toy.pop("classes", None)
    if "prior_dropout" in row.arguments():
        toy["prior_dropout"] = 0.0  # processes drop other units
    if "label" in row.needs:
        toy["label"] = "kind"
    if "source" in row.needs and not row.own_source:
        toy["source"] = str(data)
    return {"data": str(data), "size": 32, "batch": 8, "steps": 3, "threads": 1, "device": "cpu", "quiet": True, **toy}


def losses(run):
    return [json.loads(line)["loss"] for line in (run / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("recipes", [FEW, pytest.param(tuple(TOY), marks=pytest.mark.long)], ids=["few", "all"])
def test_two_processes_do_what_one_does_and_agree_and_leave_no_thread(recipes, tmp_path):
    data = write_tiles(tmp_path / "tiles", n=8, size=48, conditions=True)
    given = {recipe: settings(recipe, data) for recipe in recipes}
    (tmp_path / "script.py").write_text(SCRIPT)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command = [*torchrun, str(tmp_path / "script.py"), json.dumps(given), str(tmp_path / "two")]
    process = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"})
    for recipe in recipes:
        train(recipe, out=tmp_path / "one" / recipe, **given[recipe])
    assert process.wait() == 0
    for recipe in recipes:
        compare(tmp_path / "one" / recipe, tmp_path / "two" / recipe)


def compare(one: Path, two: Path) -> None:
    assert len(losses(one)) == len(losses(two)) == (3 if (one / "log.jsonl").stat().st_size else 0)
    for a, b in zip(losses(one), losses(two), strict=True):
        np.testing.assert_allclose(list(b.values()), list(a.values()), rtol=2e-4, atol=1e-5, err_msg=str(two))
    (weights, _), (others, _) = (read_tensors(run / "model.safetensors") for run in (one, two))
    for name in weights:  # Adam takes a whole step along a gradient that is rounding alone
        np.testing.assert_allclose(others[name], weights[name], rtol=1e-2, atol=2e-3, err_msg=f"{two}: {name}")
