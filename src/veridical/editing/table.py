"""The table of edits: one row each. What needs torch is imported when an edit runs, so that the command line may read this."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from veridical.core.arrays import Images
from veridical.core.errors import InputError
from veridical.editing.edit import Edit, Edited, Given
from veridical.editing.settings import (
    Alike,
    Attended,
    Between,
    DiffEdit,
    Inversion,
    Ledits,
    Margins,
    Rings,
    Streaks,
    Strength,
    Told,
    Wedge,
)

if TYPE_CHECKING:
    from veridical.editing.operators import Operator
    from veridical.models.contract import Denoising


def _inpaint(*args: Any, **keywords: Any) -> Edited:
    from veridical.editing.inpaint import inpaint

    return inpaint(*args, **keywords)


def _interpolate(
    model: Denoising, images: Images, given: Given, settings: Between, *, size: int, seed: int, numbers: Sequence[int],
    quiet: bool,
) -> Edited:  # fmt: skip
    from veridical.editing.restore import interpolate

    assert given.second is not None
    drawn = interpolate(
        model,
        images,
        given.second,
        settings.fraction,
        size=size,
        settings=settings,
        seed=seed,
        numbers=numbers,
        quiet=quiet,
    )
    return Edited(drawn)


def _cleaned(operator: Callable[[tuple[int, int], Any], Operator]) -> Any:
    """An edit that keeps what `operator`, made of the shape of the images and the settings, measures."""

    def apply(
        model: Denoising, images: Images, given: Given, settings: Any, *, size: int, seed: int, numbers: Sequence[int],
        quiet: bool,
    ) -> Edited:  # fmt: skip
        from veridical.editing.restore import restore

        height, width = images.shape[2:]
        drawn = restore(
            model, images, operator((height, width), settings), size=size, deviation=settings.deviation, settings=settings,
            seed=seed, numbers=numbers, quiet=quiet,
        )  # fmt: skip
        return Edited(drawn)

    return apply


def _sdedit(*args: Any, **keywords: Any) -> Edited:
    from veridical.editing.sdedit import sdedit

    return sdedit(*args, **keywords)


def _outpaint(*args: Any, **keywords: Any) -> Edited:
    from veridical.editing.outpaint import outpaint

    return outpaint(*args, **keywords)


def _variation(*args: Any, **keywords: Any) -> Edited:
    from veridical.editing.variation import variation

    return variation(*args, **keywords)


def _instruct_pix2pix(*args: Any, **keywords: Any) -> Edited:
    from veridical.editing.instruct import instruct_pix2pix

    return instruct_pix2pix(*args, **keywords)


def _ddim_inversion(*args: Any, **keywords: Any) -> Edited:
    from veridical.editing.inversion import ddim_inversion

    return ddim_inversion(*args, **keywords)


def _diffedit(*args: Any, **keywords: Any) -> Edited:
    from veridical.editing.diffedit import diffedit

    return diffedit(*args, **keywords)


def _ledits(*args: Any, **keywords: Any) -> Edited:
    from veridical.editing.ledits import ledits

    return ledits(*args, **keywords)


def _prompt_to_prompt(*args: Any, **keywords: Any) -> Edited:
    from veridical.editing.prompt_to_prompt import prompt_to_prompt

    return prompt_to_prompt(*args, **keywords)


def _rings(shape: tuple[int, int], settings: Rings) -> Operator:
    from veridical.editing.operators import rings

    x, y = settings.centre or ((shape[1] - 1) / 2, (shape[0] - 1) / 2)
    return rings(shape, (x, y), settings.width)


def _streaks(shape: tuple[int, int], settings: Streaks) -> Operator:
    from veridical.editing.operators import streaks

    return streaks(shape, settings.axis, settings.width)


def _wedge(shape: tuple[int, int], settings: Wedge) -> Operator:
    from veridical.editing.operators import wedge

    return wedge(shape, settings.degrees)


WORDS = ("prompt", "negative_prompt")
HIDDEN = "what the artefact hid"
REPAINT = "Lugmayr et al. 2022, arXiv:2201.09865"
NULL_SPACE = f"Wang et al. 2023, arXiv:2212.00490, with the resampling of {REPAINT}"
EDITS: dict[str, Edit] = {
    "inpaint": Edit(
        "inpaint", "restoration", "Image of the same size, not 0 where to fill; all other pixels are kept.", REPAINT,
        _inpaint, "pixels under the mask", ("mask",), chief="mask", metavar="FILE", offers=WORDS,
    ),
    "rings": Edit(
        "rings", "restoration", "Remove rings about column CX and row CY, in pixels.", NULL_SPACE, _cleaned(_rings), HIDDEN,
        settings=Rings, chief="centre", metavar="CX,CY",
    ),
    "streaks": Edit(
        "streaks", "restoration", "Remove streaks along these.", NULL_SPACE, _cleaned(_streaks), HIDDEN, settings=Streaks,
        chief="axis",
    ),
    "wedge": Edit(
        "wedge", "restoration", "Fill a missing wedge of this opening about the columns.", NULL_SPACE, _cleaned(_wedge),
        HIDDEN, settings=Wedge, chief="degrees", metavar="DEGREES",
    ),
    "interpolate": Edit(
        "interpolate", "restoration", "Draw the slice between the image and this one, its neighbour in a stack.", NULL_SPACE,
        _interpolate, "everything", ("second",), Between, chief="second", metavar="FILE", replaces=True, flag="between",
    ),
    "sdedit": Edit(
        "sdedit", "words", "Add noise to an image and take it away; with a mask only there.",
        "Meng et al. 2022, arXiv:2108.01073", _sdedit, "everything, or pixels under the mask",
        settings=Strength, replaces=True, offers=(*WORDS, "mask"), steered=True,
    ),
    "outpaint": Edit(
        "outpaint", "words", "Draw what may lie left, right, above and below an image; all its pixels are kept.", REPAINT,
        _outpaint, "pixels beyond the image", settings=Margins, replaces=True, offers=WORDS,
    ),
    "variation": Edit(
        "variation", "words", "Draw the same kind of image, another instance; with alike near 1 nearly the same.",
        "Ramesh et al. 2022, arXiv:2204.06125, section 3.1", _variation, "everything", settings=Alike, replaces=True,
    ),
    "instruct_pix2pix": Edit(
        "instruct_pix2pix", "words", "Follow an instruction, such as 'add a crack', with a run of that recipe.",
        "Brooks et al. 2022, arXiv:2211.09800", _instruct_pix2pix, "everything, or pixels under the mask", ("prompt",),
        Told, replaces=True, offers=("negative_prompt", "mask"),
    ),
    "ddim_inversion": Edit(
        "ddim_inversion", "words", "Lead an image to its noise and back with other words.",
        "Song et al. 2021, arXiv:2010.02502; with null_text Mokady et al. 2022, arXiv:2211.09794", _ddim_inversion, "everything",
        settings=Inversion, replaces=True, offers=(*WORDS, "source_prompt"), steered=True,
    ),
    "diffedit": Edit(
        "diffedit", "words", "Find where two texts differ in an image, and change it there.",
        "Couairon et al. 2022, arXiv:2210.11427", _diffedit, "pixels under the mask", ("prompt",),
        settings=DiffEdit, replaces=True, offers=("negative_prompt", "source_prompt", "mask"), steered=True,
    ),
    "ledits": Edit(
        "ledits", "words", "Several changes at once, each where it finds its place; away from texts that begin with -.",
        "Brack et al. 2023, arXiv:2311.16711", _ledits, "pixels under the mask", ("prompt",),
        settings=Ledits, replaces=True, offers=("source_prompt", "mask"), several=True, steered=True,
    ),
    "prompt_to_prompt": Edit(
        "prompt_to_prompt", "words", "Draw an image again by another text, and look where the words of its own text were.",
        "Hertz et al. 2022, arXiv:2208.01626", _prompt_to_prompt, "everything, or what attention to changed words marks",
        ("prompt", "source_prompt"), Attended, replaces=True, offers=("negative_prompt", "mask"), steered=True,
    ),
}  # fmt: skip


def find(name: str) -> Edit:
    """The row called `name`, or an `InputError` that lists all."""
    if name not in EDITS:
        raise InputError(f"there is no edit {name!r}: use one of {', '.join(EDITS)}.")
    return EDITS[name]
