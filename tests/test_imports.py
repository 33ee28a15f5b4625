"""The walls between the rooms of the house."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "veridical"


def modules_after(statement: str) -> set[str]:
    code = f"{statement}; import sys; print(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize(
    "name", ["torch", "diffusers", "transformers", "scipy", "skimage", "matplotlib", "h5py", "zarr", "tifffile"]
)
def test_importing_veridical_imports_nothing_heavy(name):
    assert name not in modules_after("import veridical")


def test_the_command_line_shows_help_without_torch():
    assert "torch" not in modules_after("import veridical.cli")


def test_the_report_needs_no_torch():
    assert "torch" not in modules_after("import veridical.bench.report")


def test_metrics_import_no_models():
    for path in (SOURCE / "metrics").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any("models" in name or "recipes" in name for name in names), path


def test_functions_are_not_hidden_by_modules_of_the_same_name():
    import veridical
    import veridical.sample
    import veridical.score
    import veridical.train

    assert callable(veridical.train) and callable(veridical.sample) and callable(veridical.score)
