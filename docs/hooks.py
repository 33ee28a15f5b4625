"""What the documentation's pages take from the package when they are built: tutorial, commands, recipes, systems."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]
PICTURE = """
import base64 as _base64, io as _io
_file = _io.BytesIO(); figure.save(_file, format="png")
print(f'<img alt="figure" src="data:image/png;base64,{_base64.b64encode(_file.getvalue()).decode()}">')
"""


def on_files(files, config):
    """Add the pages that are made of other files: the tutorial of a script, the contributors' page of the root."""
    pages = {"tutorial.md": tutorial(ROOT / "docs" / "tutorial.py"), "contributing.md": contributing()}
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown, page, config, files):
    """Put what `<!-- generated: NAME -->` asks for in its place."""
    return re.sub(r"<!-- generated: (\w+) -->", lambda found: GENERATED[found.group(1)](), markdown)


def tutorial(script: Path) -> str:
    """A percent-script as a page whose cells are executed; what follows ``figure`` as a cell's last line is its picture."""
    page = []
    for cell in re.split(r"^# %%", script.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        kind, _, text = cell.partition("\n")
        text = text.strip("\n")
        if "[markdown]" in kind:
            page.append("\n".join(line.removeprefix("#").removeprefix(" ") for line in text.split("\n")))
            continue
        shown = text.splitlines()[-1] == "figure"
        hidden = [f"{line}  # markdown-exec: hide" for line in PICTURE.strip().split("\n")] if shown else []
        result = "" if shown or "print(" not in text else ' result="text"'
        code = "\n".join([text, *hidden])
        page.append(f'```python exec="true" source="above" session="tutorial"{result}\n{code}\n```')
    return "\n\n".join(page) + "\n"


def contributing() -> str:
    """CONTRIBUTING.md with links as they are from here."""
    return (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").replace("](docs/", "](")


def systems() -> str:
    """The table of systems in the README, with links as they are from here."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = text[text.index("| recipe |") : text.index("`edm` is the one to begin with")]
    return table.replace("(docs/", "(")


def commands() -> str:
    """Every command of the application with its arguments and options."""
    return "\n".join(_commands())


def _commands() -> Iterator[str]:
    import typer

    from veridical.cli import app

    group = typer.main.get_command(app)
    for name, command in group.commands.items():
        context = command.make_context(f"veridical {name}", [], resilient_parsing=True)
        yield f"\n## {name}\n\n{_help(command.help)}\n\n```\n{command.get_usage(context)}\n```\n"
        rows = [param.get_help_record(context) for param in command.params]
        rows = [row or (param.human_readable_name, "") for row, param in zip(rows, command.params, strict=True)]
        if rows:
            yield "| argument or option | meaning |\n|---|---|"
            yield from (f"| `{_cell(a)}` | {_cell(b)} |" for a, b in rows)
        examples = [line for line in (command.epilog or "").replace("\b", "").split("\n") if line.strip()]
        if examples:
            yield "\n```\n" + "\n".join(examples) + "\n```"


def recipes() -> str:
    """Every recipe with its settings and their defaults."""
    from veridical.recipes.table import RECIPES

    said = []
    for name, row in RECIPES.items():
        settings = ", ".join(f"`{key}={_plain(value)}`" for key, value in row.arguments().items()) or "none"
        training = ", ".join(f"`{key}={_plain(value)}`" for key, value in row.train.items()) or "as usual"
        needs = ", ".join(row.needs) or (f"a first stage, `{row.first}`" if row.first else "images")
        said.append(
            f"## {name}\n\n{row.summary[0].upper()}{row.summary[1:]}. *{row.citation}*\n\n- Needs: {needs}\n"
            f"- Training: {training}\n- Network and sampling: {settings}\n"
        )
    return "\n".join(said)


def _plain(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def _help(text: str | None) -> str:
    return re.sub(r"\n +", "\n", (text or "").strip())


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


GENERATED = {"systems": systems, "commands": commands, "recipes": recipes}
sys.path.insert(0, str(ROOT / "src"))
