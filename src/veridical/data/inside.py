"""What picture files say inside of themselves: that a model drew them, and which."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

TEXT, XMP = "veridical", "XML:com.adobe.xmp"  # keywords of texts in PNG
SOURCES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_PACKET = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
    'Iptc4xmpExt:DigitalSourceType="{}"/></rdf:RDF></x:xmpmeta>'
)
# Of a record of images: what is the same in all of them, so that equal images are equal files; not where data lie.
SAID = ("version", "recipe", "checkpoint", "model", "url", "server", "edit", "made_up", "seed", "settings")


@dataclass(frozen=True)
class Inside:
    """What made a picture.

    Attributes
    ----------
    about : dict
        JSON-able.
    edited : bool
        Whether a part of it is not drawn.
    """

    about: dict[str, Any]
    edited: bool = False

    @property
    def text(self) -> str:
        """As JSON, in ASCII."""
        return json.dumps(self.about, allow_nan=False)

    @property
    def xmp(self) -> str:
        """For other programs, in the words of IPTC: all, or a part, is drawn by a model."""
        return _PACKET.format(
            SOURCES + ("compositeWithTrainedAlgorithmicMedia" if self.edited else "trainedAlgorithmicMedia")
        )


def inside_of(record: Mapping[str, Any], edited: bool = False) -> Inside:
    """What files say of themselves of what ``provenance.json`` says of them."""
    return Inside({name: record[name] for name in SAID if name in record} | {"synthetic": True}, edited)
