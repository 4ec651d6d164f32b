"""Where a picture comes from, in words that travel inside it: that it is synthetic, which model drew it, of what.

The same words stand in a PNG as text chunks and in a JPEG as a comment (JSON), for Facesmith to read again. For other
programs both carry XMP with IPTC's digital source type, and a JPEG carries EXIF.

Source: IPTC Photo Metadata Standard, Digital Source Type; its vocabulary: cv.iptc.org/newscodes/digitalsourcetype
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from facesmith import __version__
from facesmith.io.seeds import MAX_SEED, MAX_SEED_COUNT

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/"
SOURCE_TYPES = {
    "true": SOURCE_TYPE + "trainedAlgorithmicMedia",
    "in part": SOURCE_TYPE + "compositeWithTrainedAlgorithmicMedia",
}  # by the word "Synthetic"
# Of a picture's bytes, its media type and its words: the same picture with signed content credentials.
Sign = Callable[[bytes, str, Mapping[str, str]], bytes]


@dataclass(frozen=True)
class SampleOrigin:
    """Of what a picture was drawn, as its words tell it."""

    seeds: list[int]
    psi: float
    condition: dict[str, float]
    model: str
    recipe: str


def synthetic_metadata(recipe: str, model_hash: str, shown: Mapping[str, str]) -> dict[str, str]:
    """What a synthetic picture tells of itself; `shown` says of what it was drawn and may replace the rest."""
    return {
        "Software": f"facesmith {__version__}",
        "Synthetic": "true",
        "Description": "A synthetic picture; the person it shows does not exist.",
        "Recipe": recipe,
        "Model": model_hash,
        **shown,
    }


def seed_metadata(seeds: Sequence[int], psi: float, condition: Mapping[str, float] | None = None) -> dict[str, str]:
    """The words from which `parse` knows again of what a picture was drawn.

    Args:
        given: what a conditional model was told.
    """
    return {"Seeds": json.dumps(list(seeds)), "Psi": repr(psi), **condition_metadata(condition)}


def condition_metadata(condition: Mapping[str, float] | None) -> dict[str, str]:
    """The words of what a conditional model was told; none where it was told nothing."""
    return {"Condition": json.dumps(dict(condition))} if condition else {}


def parse_provenance(told: Mapping[str, str]) -> SampleOrigin | None:
    """Of what a picture of these words was drawn; None where they don't tell, or tell nonsense."""
    try:
        seeds, psi, model = json.loads(told["Seeds"]), float(told["Psi"]), told["Model"]
        condition = json.loads(told.get("Condition", "{}"))
    except (KeyError, ValueError, TypeError, RecursionError):
        return None
    if type(seeds) is not list or not 0 < len(seeds) <= MAX_SEED_COUNT or not 0 <= psi <= 1:
        return None
    if not all(type(seed) is int and 0 <= seed <= MAX_SEED for seed in seeds):
        return None
    if type(condition) is not dict or not all(answer in (0, 1) for answer in condition.values()):
        return None
    return SampleOrigin(seeds, psi, condition, model, told.get("Recipe", "unknown"))


def source_type(told: Mapping[str, str]) -> str | None:
    """IPTC's address for how such a picture came to be; None where it isn't synthetic."""
    return SOURCE_TYPES.get(told.get("Synthetic", ""))


def xmp(told: Mapping[str, str]) -> str | None:
    """An XMP packet with the digital source type, tool and description; None for pictures that aren't synthetic."""
    kind = source_type(told)
    if kind is None:
        return None
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\n'
        '<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/"\n'
        ' xmlns:dc="http://purl.org/dc/elements/1.1/"\n'
        ' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"\n'
        f" xmp:CreatorTool={quoteattr(told.get('Software', ''))}\n"
        f" Iptc4xmpExt:DigitalSourceType={quoteattr(kind)}>\n"
        '<dc:description><rdf:Alt><rdf:li xml:lang="x-default">'
        f"{escape(told.get('Description', ''))}</rdf:li></rdf:Alt></dc:description>\n"
        "</rdf:Description></rdf:RDF></x:xmpmeta>\n"
        '<?xpacket end="r"?>'
    )
