"""The metadata of synthetic images: that they are synthetic, which model drew them, and how to draw them again.

A PNG stores the entries as text chunks, a JPEG or a film as JSON in its comment; Facesmith reads them back from there.
For other programs, PNG and JPEG also carry XMP with the IPTC digital source type, and a JPEG carries EXIF.

Source: IPTC Photo Metadata Standard, Digital Source Type; its vocabulary: cv.iptc.org/newscodes/digitalsourcetype
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from facesmith import __version__
from facesmith.io.messages import encodable
from facesmith.io.seeds import MAX_SEED, MAX_SEED_COUNT

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/"
SOURCE_TYPES = {
    "true": SOURCE_TYPE + "trainedAlgorithmicMedia",
    "in part": SOURCE_TYPE + "compositeWithTrainedAlgorithmicMedia",
}  # by the entry "Synthetic"
PRIOR, NORMAL_PRIOR = "Prior", "normal"  # an entry, and its only value
QUALITY_METADATA = {"Quality": "without the tenth of the seeds that look most distorted"}
# (encoded image, media type, metadata) -> the same image with signed content credentials.
Sign = Callable[[bytes, str, Mapping[str, str]], bytes]


@dataclass(frozen=True)
class SampleOrigin:
    """How a face was drawn: enough to draw it again.

    Attributes:
        prior: "normal" if latents were drawn from N(0, I) instead of the model's own prior, else empty.
    """

    seeds: list[int]
    psi: float
    condition: dict[str, float]
    model: str
    recipe: str
    prior: str = ""


def synthetic_metadata(recipe: str, model_hash: str, entries: Mapping[str, str]) -> dict[str, str]:
    """The metadata of a synthetic image.

    Args:
        entries: how it was made, such as `seed_metadata`. They override the default entries.
    """
    metadata = {
        "Software": f"facesmith {__version__}",
        "Synthetic": "true",
        "Description": "A synthetic picture; the person it shows does not exist.",
        "Recipe": recipe,
        "Model": model_hash,
        **entries,
    }
    return {key: encodable(value) for key, value in metadata.items()}


def seed_metadata(seeds: Sequence[int], psi: float, condition: Mapping[str, float] | None = None) -> dict[str, str]:
    """The entries from which `parse_provenance` reads how faces were drawn."""
    return {"Seeds": json.dumps(list(seeds)), "Psi": repr(psi), **condition_metadata(condition)}


def condition_metadata(condition: Mapping[str, float] | None) -> dict[str, str]:
    """The entry for a conditional model's attribute values. No entry without a condition."""
    return {"Condition": json.dumps(dict(condition))} if condition else {}


def parse_provenance(metadata: Mapping[str, str]) -> SampleOrigin | None:
    """Read how faces were drawn. None if entries are missing or invalid."""
    try:
        seeds, psi, model = json.loads(metadata["Seeds"]), float(metadata["Psi"]), metadata["Model"]
        condition = json.loads(metadata.get("Condition", "{}"))
    except (KeyError, ValueError, TypeError, RecursionError):
        return None
    if type(seeds) is not list or not 0 < len(seeds) <= MAX_SEED_COUNT or not 0 <= psi <= 1:
        return None
    if not all(type(seed) is int and 0 <= seed <= MAX_SEED for seed in seeds):
        return None
    prior = metadata.get(PRIOR, "")
    if prior not in ("", NORMAL_PRIOR):
        return None
    if type(condition) is not dict or not all(value in (0, 1) for value in condition.values()):
        return None
    return SampleOrigin(seeds, psi, condition, model, metadata.get("Recipe", "unknown"), prior)


def parse_comment(comment: bytes | str) -> dict[str, str]:
    """The entries in the comment of a JPEG or a film that Facesmith wrote. Empty for other programs' comments."""
    try:
        entries = json.loads(comment)
    except (ValueError, RecursionError):
        return {}
    items = entries.items() if isinstance(entries, dict) else ()
    return {key: value for key, value in items if isinstance(value, str)}


def source_type(metadata: Mapping[str, str]) -> str | None:
    """The IPTC address that says how an image was made. None if it is not synthetic."""
    return SOURCE_TYPES.get(metadata.get("Synthetic", ""))


def xmp(metadata: Mapping[str, str]) -> str | None:
    """An XMP packet with the digital source type, software and description. None if the image is not synthetic."""
    kind = source_type(metadata)
    if kind is None:
        return None
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\n'
        '<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/"\n'
        ' xmlns:dc="http://purl.org/dc/elements/1.1/"\n'
        ' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"\n'
        f" xmp:CreatorTool={quoteattr(metadata.get('Software', ''))}\n"
        f" Iptc4xmpExt:DigitalSourceType={quoteattr(kind)}>\n"
        '<dc:description><rdf:Alt><rdf:li xml:lang="x-default">'
        f"{escape(metadata.get('Description', ''))}</rdf:li></rdf:Alt></dc:description>\n"
        "</rdf:Description></rdf:RDF></x:xmpmeta>\n"
        '<?xpacket end="r"?>'
    )
