"""``PYTHONPATH=tests python -m fuzz.run``: thousands of odd command lines and damaged files; prints a table by kind.

Each case runs in a process of its own, forked from one that has imported everything, with limits to time and memory. It is wrong
if it ends with another exit code than those of docs/reference/cli.md, by a signal, prints a traceback, or runs for longer.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import os
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

from fuzz.cases import KINDS, Case

CODES = {0, 2, 3, 4, 5, 130}
CPU, WALL = 20, 60  # seconds; a case that waits for other processes on a busy machine is no hang
MEMORY = 2 * 2**30  # bytes beyond those of the process that it is forked from


@dataclass
class Outcome:
    """How a case ended; `wrong` says why it should not have, "" where it was right."""

    case: Case
    code: int
    seconds: float
    output: str
    wrong: str


def judge(code: int, output: str, seconds: float, cpu: float) -> str:
    """Why an end is wrong; "" for a right one."""
    if "Traceback (most recent call last)" in output:
        last = next(
            (
                line
                for line in reversed(output.splitlines())
                if re.match(r"[A-Za-z_.]+(Error|Exception|Warning)?\b.*", line)
            ),
            "",
        )
        return f"traceback: {last[:90]}"
    if cpu > CPU or seconds > WALL:
        return f"ran for {cpu:.0f} s"
    if code < 0:
        return f"signal {-code}"
    if code not in CODES:
        return f"exit code {code}"
    if code == 2 and not output.strip():
        return "no sentence"
    return ""


def make_base(folder: Path) -> None:
    """Data, runs, samples and a bench, all tiny and whole."""
    import h5py
    import numpy as np
    import tifffile
    import zarr
    from PIL import Image

    from bench_folder import make_bench
    from toy import TOY, write_tiles
    from veridical.runs.draw import sample
    from veridical.training.start import train

    data = write_tiles(folder / "data", n=12, size=32, conditions=True)
    brief = {"size": 16, "steps": 1, "batch": 2, "quiet": True, "device": "cpu"}
    for name in ("vae", "edm", "cgan"):
        own = {k: v for k, v in TOY[name].items() if k != "classes"} | ({"label": "kind"} if name == "cgan" else {})
        train(name, data, folder / "runs" / name, **brief, **own)
    sample(folder / "runs" / "vae", 12, folder / "samples", quiet=True, device="cpu")
    stack = np.random.default_rng(0).integers(0, 255, (12, 32, 32), np.uint8)
    Image.fromarray(stack[0]).save(folder / "image.png")
    Image.fromarray((stack[1] > 240).astype(np.uint8)).save(folder / "mask.png")
    (folder / "formats").mkdir()
    tifffile.imwrite(folder / "formats" / "stack.tif", stack)
    np.save(folder / "formats" / "stack.npy", stack)
    for suffix in (".png", ".jpg"):
        Image.fromarray(stack[0]).save(folder / "formats" / f"stack{suffix}")
    with h5py.File(folder / "formats" / "stack.h5", "w") as file:
        file.create_dataset("exchange/data", data=stack, chunks=(1, 32, 32), compression="gzip")
    zarr.create_array(folder / "formats" / "stack.zarr", data=stack, chunks=(1, 32, 32))
    (folder / "bench.toml").write_text(
        f'size = 16\nsteps = 1\nsamples = 8\nseeds = [0]\n[datasets.a]\ndata = "{data}"\n[recipes.random_phase]\n'
    )
    make_bench(folder / "bench", {"a": "brick"}, size=16)


def attempt(case: Case, seed: int, scratch: Path) -> None:
    """In a process of its own: run a case in a fresh folder. Does not return."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with (scratch / "output").open("wb", buffering=0) as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.stdout, sys.stderr = (os.fdopen(k, "w", closefd=False) for k in (1, 2))
    code = 70
    try:
        work = scratch / "work"
        work.mkdir()
        case.prepare(work, random.Random(f"{seed}-{case.kind}-{case.number}-prepare"))
        os.chdir(work)
        sys.argv = ["veridical", *case.arguments]
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (CPU + 1, CPU + 1))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**28, 2**28))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        from veridical import cli

        cli.main()
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1 if stop.code else 0
    except BaseException:
        traceback.print_exc()
        code = 1
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)


def run_all(cases: list[Case], seed: int, jobs: int, folder: Path) -> list[Outcome]:
    """Run cases, `jobs` at a time."""
    waiting, working, done = list(reversed(cases)), {}, []
    while waiting or working:
        while waiting and len(working) < jobs:
            case = waiting.pop()
            scratch = folder / f"{case.kind}-{case.number}"
            scratch.mkdir()
            pid = os.fork()
            if pid == 0:
                attempt(case, seed, scratch)
            working[pid] = (case, scratch, time.monotonic())
        pid, status, usage = os.wait4(-1, os.WNOHANG)
        if pid == 0:
            for late, (_, _, began) in working.items():
                if time.monotonic() - began > WALL:
                    os.killpg(late, signal.SIGKILL)
            time.sleep(0.01)
        elif pid in working:
            case, scratch, began = working.pop(pid)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)  # what it left running
            output = (scratch / "output").read_text(encoding="utf-8", errors="backslashreplace")
            code, seconds = os.waitstatus_to_exitcode(status), time.monotonic() - began
            wrong = judge(code, output, seconds, usage.ru_utime + usage.ru_stime)
            done.append(Outcome(case, code, seconds, output, wrong))
            shutil.rmtree(scratch, ignore_errors=True)
            if wrong:
                print(f"{case.kind}:{case.number} {case.words} {case.arguments!r}"[:300], f"\n    {wrong}", flush=True)
            if len(done) % 100 == 0:
                print(
                    f"{len(done)} of {len(cases)} cases, {sum(bool(o.wrong) for o in done)} wrong",
                    file=sys.stderr,
                    flush=True,
                )
    return done


def main() -> int:
    """Make the cases that the command line asks for, run them and print what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--only", help="KIND or KIND:NUMBER; of one case the whole output is printed")
    parser.add_argument("--json", type=Path, help="write what is wrong here")
    options = parser.parse_args()
    os.environ |= {"COLUMNS": "200", "LOCAL_WORLD_SIZE": str(len(os.sched_getaffinity(0)))}
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        base = Path(name) / "base"
        make_base(base)
        only, _, number = (options.only or "").partition(":")
        cases = []
        for kind, (make, share) in KINDS.items():
            numbers = [int(number)] if number else range(round(options.cases * (1 if only else share)))
            cases += [make(base, options.seed, k) for k in numbers if not only or kind == only]
        random.Random(options.seed).shuffle(cases)
        (Path(name) / "work").mkdir()
        done = run_all(cases, options.seed, options.jobs, Path(name) / "work")
    wrong = [o for o in done if o.wrong]
    if number:
        print(f"{done[0].case.arguments!r}\n{done[0].output}\n{done[0].wrong or 'right'} (exit code {done[0].code})")
    print(f"{'kind':10} {'cases':>6} {'wrong':>6} {'slowest s':>10}  exit codes")
    for kind in KINDS:
        mine = [o for o in done if o.case.kind == kind]
        if mine:
            codes = dict(sorted(collections.Counter(o.code for o in mine).items()))
            slowest = max(o.seconds for o in mine)
            print(f"{kind:10} {len(mine):6} {sum(bool(o.wrong) for o in mine):6} {slowest:10.1f}  {codes}")
    if options.json:
        rows = [{"case": f"{o.case.kind}:{o.case.number}", "words": o.case.words, "arguments": o.case.arguments, "wrong": o.wrong,
                 "output": o.output[-2000:]} for o in wrong]  # fmt: skip
        options.json.write_text(json.dumps(rows, indent=1))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
