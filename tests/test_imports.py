"""The walls between the rooms of the house. ``python tests/test_imports.py`` prints its floors and arrows."""

import ast
import functools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "veridical"

# From the ground up: a room imports those of lower floors, never one of its own floor or above.
FLOORS = (
    ("core", "stats", "wording"),
    ("diffusion", "metrics", "nets", "phantoms"),
    ("data", "models"),
    ("captioning", "conditions", "scoring"),
    ("auditing", "recipes", "reporting"),
    ("pretrained",),
    ("runs",),
    ("hub",),
    ("editing", "training", "volumes"),
    ("adapting", "benching", "server"),
    ("studio",),
    ("cli",),
    ("__main__",),
)
LONGEST = 300  # lines of a file; more wants a reason, in its docstring: "Longer than ... because ..."


def module_of(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def arrows() -> Iterator[tuple[str, str]]:
    """Pairs of modules, the first of which imports the second, anywhere in it."""
    modules = {module_of(path): path for path in SOURCE.rglob("*.py")}
    for module, path in modules.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert not node.level, f"{module}: imports are absolute"
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            else:
                continue
            for name in names:
                if name.startswith("veridical."):
                    inside = name.removeprefix("veridical.")
                    yield module, inside if inside in modules else inside.rpartition(".")[0]


def rooms() -> dict[str, set[str]]:
    """The rooms that each room imports."""
    found: dict[str, set[str]] = {}
    for importer, imported in arrows():
        here, there = importer.split(".")[0], imported.split(".")[0]
        found.setdefault(here, set())
        if here != there and there:
            found[here].add(there)
    return found


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """One path for each circle that a walk along the arrows finds."""
    done: set[str] = set()
    found = []

    def walk(node: str, path: list[str]) -> None:
        if node in path:
            found.append([*path[path.index(node) :], node])
        elif node not in done:
            for other in sorted(graph.get(node, ())):
                walk(other, [*path, node])
            done.add(node)

    for node in sorted(graph):
        walk(node, [])
    return found


def test_every_room_has_its_floor_and_imports_only_what_is_below():
    floor = {room: k for k, floor in enumerate(FLOORS) for room in floor}
    for room, others in rooms().items():
        for other in others:
            assert floor[other] < floor[room], f"{room} (floor {floor[room]}) imports {other} (floor {floor[other]})"


def test_every_folder_of_modules_is_a_package():
    assert [p for p in {file.parent for file in SOURCE.rglob("*.py")} if not (p / "__init__.py").is_file()] == []


def test_no_module_imports_in_a_circle():
    graph: dict[str, set[str]] = {}
    for importer, imported in arrows():
        graph.setdefault(importer, set()).add(imported)
    assert circles(graph) == []


def test_the_search_for_circles_finds_one():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == [["b", "c", "b"]]


def test_files_hold_one_idea():
    for path in SOURCE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if text.count("\n") > LONGEST:
            assert "Longer than" in (ast.get_docstring(ast.parse(text)) or ""), (
                f"{path} has {text.count(chr(10))} lines"
            )


@functools.cache
def modules_after(statement: str) -> set[str]:
    code = f"{statement}; import sys; print(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize(
    "name", ["torch", "diffusers", "transformers", "scipy", "skimage", "matplotlib", "h5py", "zarr", "tifffile"]
)
def test_importing_veridical_imports_nothing_heavy(name):
    assert name not in modules_after("import veridical")


@pytest.mark.parametrize("name", ["torch", "diffusers", "transformers", "scipy", "skimage", "matplotlib"])
def test_the_command_line_shows_help_without_what_is_heavy(name):
    assert name not in modules_after("import veridical.cli")


@pytest.mark.parametrize("name", ["torch", "diffusers", "matplotlib.pyplot"])
def test_the_report_needs_no_torch(name):
    assert name not in modules_after("import veridical.reporting.report")


@pytest.mark.parametrize("name", ["diffusers", "transformers", "peft", "scipy.stats", "matplotlib"])
def test_a_cell_of_a_bench_imports_what_its_system_needs_alone(name):
    """Every cell is a process of its own; these would add seconds to each."""
    assert name not in modules_after("import veridical.benching.cell")


def test_metrics_import_no_models():
    assert not {"models", "recipes"} & rooms()["metrics"]


def test_every_public_name_can_be_had():
    import veridical

    assert all(getattr(veridical, name) is not None for name in veridical.__all__)


if __name__ == "__main__":
    graph = rooms()
    for number, floor in reversed(list(enumerate(FLOORS))):
        for room in floor:
            print(f"{number}  {room:<11} {', '.join(sorted(graph.get(room, ())))}")
    files = [path for path in SOURCE.rglob("*.py") if path.stat().st_size]
    lines = sum(path.read_text(encoding="utf-8").count("\n") for path in files)
    print(f"{len(graph)} rooms on {len(FLOORS)} floors, {sum(map(len, graph.values()))} arrows between rooms, ", end="")
    print(f"{len(set(arrows()))} between files; {len(files)} files, {lines} lines")
