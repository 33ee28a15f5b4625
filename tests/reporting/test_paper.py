"""The paper of a bench: references from citations, and LaTeX that names what is there."""

from veridical.recipes.table import RECIPES
from veridical.reporting.formats import to_latex
from veridical.reporting.paper import references, write_paper


def test_citations_become_references():
    text = "Ho, Jain and Abbeel 2020, arXiv:2006.11239; Song et al. 2019, arXiv:1907.05600; 2020, arXiv:2006.09011"
    found = references([text, "Song et al. 2019, arXiv:1907.05600; no paper at all"])
    first, second, third = found[text]
    assert [r.key for r in (first, second, third)] == ["Ho2020", "Song2019", "Song2020"]
    assert first.authors == "Ho and Jain and Abbeel" and third.authors == "Song and others"
    assert "eprint = {2006.11239}" in first.entry() and list(found.values())[1] == [second]


def test_every_recipe_has_its_papers():
    found = references(row.citation for row in RECIPES.values())
    for row in RECIPES.values():
        assert len(found[row.citation]) == row.citation.count(";") + 1, row.citation
    keys = {}
    for reference in (r for some in found.values() for r in some):
        assert keys.setdefault(reference.key, reference) == reference


def test_the_paper_names_tables_figures_and_no_way_to_the_data(tmp_path):
    spec = {
        "title": "50 % & more", "size": 64, "budget": {"minutes": 6},
        "datasets": {"core": {"data": "/home/me/core.tif"}, "cmc": {"data": "phantom:cmc?n=8"}},
        "recipes": {"ddpm": {"summary": "predicts", "citation": "Ho, Jain and Abbeel 2020, arXiv:2006.11239"}},
        "edits": {"copy": {"how": "copy"}},
    }  # fmt: skip
    text = write_paper(tmp_path, spec, ["costs"], {"cmc-edits.png": "cmc: the first"}).read_text()
    assert r"\wide{../tables/costs}" in text and "{../figures/cmc-edits.png}" in text and r"\cite{Ho2020}" in text
    assert r"50 \% \& more" in text and "core.tif" in text and "/home" not in text
    assert "@misc{Ho2020," in (tmp_path / "paper" / "paper.bib").read_text()


def test_nothing_of_a_specification_is_a_command_of_latex(tmp_path):
    evil = r"x]}^^5cinput{y}%"
    spec = {
        "title": evil, "datasets": {evil: {"data": evil}},
        "recipes": {evil: {"summary": evil, "citation": evil + r"\input{y} 2020, arXiv:1}\input{y}"}},
    }  # fmt: skip
    paper = write_paper(tmp_path, spec, [f"edits-{evil}", "edits-plain_1"], {f"{evil}-edits.png": "x", "a b.png": "x"})
    text = paper.read_text() + paper.with_suffix(".bib").read_text() + to_latex([{"a": 1}], evil, f"tab:{evil}")
    assert "^^" not in text and r"\input{y" not in text
    assert r"\wide{../tables/edits-plain_1}" in text and "{../figures/a b.png}" in text
