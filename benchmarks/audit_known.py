"""Does the audit agree with what is known? Outputs of badly trained networks and phantoms must fail, held-out real images pass.

    python benchmarks/audit_known.py DATA [--out DIR]

Runs `veridical audit` on each pair, as a user would, and prints verdict, exit code, what was found and how many images failed.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from veridical.data.images import read_images, write_images
from veridical.data.window import IntensityWindow
from veridical.reporting.audit_text import image_counts


def cases(data: Path, out: Path) -> list[tuple[str, str, str, list[str]]]:
    """What it is called, REAL, SYNTH, further arguments."""
    found = []
    for name in ("cmc", "rocks"):
        for bad in sorted((data / name / "known_bad").glob("*/")):
            found.append((f"{name} known_bad {bad.name[-9:]}", f"{data}/{name}/train", str(bad), []))
    for name in ("sandstone", "fibres", "roots_osr"):
        found.append((f"{name} held out", f"{data}/{name}/train", f"{data}/{name}/test", []))
    found.append(("cmc held out", f"{data}/cmc/train", f"{data}/cmc/test", ["--field", r"f\d+"]))
    for phantom, name in (("rocks", "sandstone"), ("cmc", "fibres"), ("roots", "roots_osr")):
        folder = out / f"phantom_{phantom}"
        if not folder.is_dir():  # in 8 bits, as the real images are
            images = read_images(f"phantom:{phantom}?n=32&size=128").images
            write_images(folder, images, IntensityWindow(0, 255, "uint8"))
        found.append((f"phantom {phantom} as {name}", f"{data}/{name}/train", str(folder), []))
    return found


def run(*arguments: str) -> subprocess.CompletedProcess:
    """The command line in a process of its own."""
    return subprocess.run([sys.executable, "-m", "veridical", *arguments], capture_output=True, text=True)


def main() -> None:
    """Audit all and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--out", type=Path, default=Path("runs/audit_known"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for called, real, synth, more in cases(options.data, options.out):
        if options.only not in called:
            continue
        path = options.out / f"{called.replace(' ', '_')}.json"
        done = run("audit", real, synth, "--json", str(path), "--html", str(path.with_suffix(".html")), "--quiet",
                   "--no-power", *more)  # fmt: skip
        if done.returncode not in (0, 3, 4):
            print(f"{called:<32} exit {done.returncode}: {done.stderr.strip()}", flush=True)
            continue
        report = json.loads(path.read_text())
        names = ", ".join(f["defect"] for f in report["findings"])
        print(f"{called:<32} exit {done.returncode} {report['verdict']:<13}{names}\n{'':<34}images: {image_counts(report)}",
              flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
