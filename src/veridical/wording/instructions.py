"""What is to be changed, as an instruction: several paraphrases of each change."""

from collections.abc import Sequence

import numpy as np

INSTRUCTIONS: dict[str, Sequence[str]] = {
    # ceramic-matrix composites
    "add_crack": ("add a crack", "insert one crack", "let a crack run through the matrix", "put in a crack"),
    "remove_cracks": ("remove the cracks", "heal all cracks", "take the cracks away", "make it free of cracks"),
    "larger_fibres": ("make the fibres larger", "thicken the fibres", "give the fibres a larger diameter"),
    "smaller_fibres": ("make the fibres smaller", "thin the fibres", "give the fibres a smaller diameter"),
    "fewer_fibres": ("take out some fibres", "fewer fibres", "remove some of the fibres", "lower the fibre fraction"),
    "more_fibres": ("add some fibres", "more fibres", "put in more fibres", "raise the fibre fraction"),
    "add_binder": ("add a binder region", "put in binder", "let binder enter the image", "add a curved binder border"),
    "remove_binder": ("remove the binder", "take the binder away", "replace the binder by matrix"),
    # rocks and sediment
    "more_pores": ("more pores", "raise the porosity", "open the pore space", "make it more porous"),
    "fewer_pores": ("fewer pores", "lower the porosity", "close part of the pore space", "make it less porous"),
    "add_mineral": ("add bright minerals", "put in dense mineral", "let some grains be bright mineral"),
    "remove_minerals": ("remove the bright minerals", "take the dense mineral away", "no bright minerals"),
    "larger_grains": ("make the grains larger", "grow the grains", "give the grains a larger diameter"),
    "smaller_grains": ("make the grains smaller", "shrink the grains", "give the grains a smaller diameter"),
    "remove_grain": ("remove a grain", "take one grain out", "delete one of the grains"),
    # roots
    "add_laterals": ("add laterals", "grow more laterals", "let the root branch more"),
    "remove_laterals": ("remove the laterals", "cut off all laterals", "keep the main root only"),
    "thicker_roots": ("make the roots thicker", "thicken the roots", "give the roots a larger width"),
    "thinner_roots": ("make the roots thinner", "thin the roots", "give the roots a smaller width"),
    "longer_root": ("make the main root longer", "let the main root grow on", "lengthen the main root"),
    "shorter_root": ("make the main root shorter", "cut the tip of the main root off", "shorten the main root"),
}  # fmt: skip


NO_VERBS = ("more", "fewer", "no ")


def instructions(names: Sequence[str]) -> tuple[str, ...]:
    """Paraphrases of one change or of several at once: "Add a crack and remove the binder."."""
    found = [INSTRUCTIONS[name] for name in names]
    if len(names) > 1:  # "more pores" stands alone only
        found = [[phrase for phrase in phrases if not phrase.startswith(NO_VERBS)] for phrases in found]
    texts = [" and ".join(phrases[k % len(phrases)] for phrases in found) for k in range(max(map(len, found)))]
    return tuple(text[0].upper() + text[1:] + "." for text in texts)


def instruct(names: Sequence[str], rng: np.random.Generator) -> str:
    """One of the paraphrases, by chance."""
    texts = instructions(names)
    return texts[rng.integers(len(texts))]
