"""Runs with random weights behind a server, and the real client of the API."""

from typing import NamedTuple

import openai
import pytest

from serving import running
from toy import TOY, write_changes, write_tiles
from veridical.conditions.table import SIZES
from veridical.recipes.table import RECIPES
from veridical.server.served import load_all
from veridical.server.service import Limits, Service
from veridical.training.start import train

SIZE = 16


def trained(recipe, data, out, **more):
    """A step of a recipe."""
    own = {key: value for key, value in TOY[recipe].items() if key not in SIZES}
    said = {"text": "auto"} if "text" in RECIPES[recipe].needs and recipe != "instruct_pix2pix" else {}
    return train(recipe, data, out, steps=1, size=SIZE, batch=4, threads=1, quiet=True, **said, **(more | own))


@pytest.fixture(scope="session")
def plain(tmp_path_factory):
    """A run folder without words, beside its data ``grey``."""
    folder = tmp_path_factory.mktemp("served")
    return trained("edm", write_tiles(folder / "grey", n=12, size=24, conditions=True), folder / "edm")


@pytest.fixture(scope="session")
def one(plain):
    """It alone, as it is served."""
    return load_all([plain], "cpu", None)


@pytest.fixture(scope="session")
def folders(plain):
    """Run folders: without words, with words of 16 bits, with variations, with instructions."""
    folder, grey = plain.parent, plain.parent / "grey"
    deep = write_tiles(folder / "deep", n=12, size=24, conditions=True, dtype="uint16")
    pairs = write_changes(folder / "pairs")
    stages = RECIPES["unclip"].first
    first = {name: trained(s.recipe, grey, folder / name, **s.args) for name, s in stages.items()}
    return [
        plain,
        trained("text_to_image", deep, folder / "told"),
        trained("unclip", grey, folder / "unclip", first=first),
        trained("instruct_pix2pix", pairs, folder / "instructed"),
    ]


@pytest.fixture(scope="session")
def runs(folders):
    """What is served of them."""
    return load_all(folders, "cpu", None)


class Asked(NamedTuple):
    """A server and a client of it that tries once."""

    service: Service
    url: str
    client: openai.OpenAI


@pytest.fixture(scope="session")
def server(runs):
    """All runs, images of at most 64 x 64 pixels."""
    service = Service(runs, Limits(pixels=64 * 64, body=2**20))
    with running(service) as url, openai.OpenAI(base_url=url, api_key="none", max_retries=0) as client:
        yield Asked(service, url, client)
