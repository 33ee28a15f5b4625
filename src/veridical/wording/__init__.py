"""Facts -> true sentences: captions of images and instructions of edits, with what they say beside them."""

from veridical.wording.instructions import INSTRUCTIONS, instruct, instructions
from veridical.wording.place import PLACES, place_of, turned
from veridical.wording.sentences import Fact, describe, state, ways
from veridical.wording.table import ROWS, Number, Row, row_of

__all__ = [
    "INSTRUCTIONS", "PLACES", "ROWS", "Fact", "Number", "Row", "describe", "instruct", "instructions", "place_of", "row_of",
    "state", "turned", "ways",
]  # fmt: skip
