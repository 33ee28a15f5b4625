"""Rows of systems that learn nothing."""

from __future__ import annotations

from veridical.models.classical.random_phase import RandomPhase
from veridical.recipes.recipe import Recipe

ROWS: dict[str, Recipe] = {
    "random_phase": Recipe(
        RandomPhase,
        family="classical",
        task="unconditional",
        summary="a tile's spectrum with random phases and its exact histogram: learns nothing, the line to beat",
        citation="Galerne, Gousseau and Morel 2011, doi:10.1109/TIP.2010.2052822; "
        "Schreiber and Schmitz 1996, doi:10.1103/PhysRevLett.77.635",
    ),
}
