"""Choose the image topics of a bag, and name the topics of the results."""

from collections.abc import Mapping, Sequence

from deepfer_ros.bag.definitions import COMPRESSED_IMAGE, IMAGE
from deepfer_ros.bag.errors import BagError

_COMPRESSED = "/compressed"
# What the emotion node and this program publish themselves.
_ANNOTATED = "emotions/image"
# Depth images as PNG behind a header of their own.
_DEPTH = "/compressedDepth"


def choose_topics(
    types: Mapping[str, str], wanted: Sequence[str], bag: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the image topics to read, and notes about those that were left out.

    Args:
        types: Type of each topic of the bag.
        wanted: Topics that the user asks for; all image topics if empty.
        bag: What errors call the bag.

    Raises:
        BagError: A wanted topic does not exist or has no images, or there is no image topic.
    """
    images = sorted(name for name, kind in types.items() if kind in (IMAGE, COMPRESSED_IMAGE))
    listed = ", ".join(images) or "none"
    for name in wanted:
        if name not in types:
            raise BagError(f"The bag {bag} has no topic {name}; its image topics: {listed}.")
        if name not in images:
            raise BagError(
                f"The topic {name} holds {types[name]}, no images; image topics of the bag "
                f"{bag}: {listed}."
            )
    if wanted:
        return tuple(dict.fromkeys(wanted)), ()
    chosen, notes = [], []
    for name in images:
        reason = _reason_to_leave_out(name, images)
        if reason:
            notes.append(f"Left out {name}: {reason}. --topic takes it all the same.")
        else:
            chosen.append(name)
    if not chosen:
        topics = ", ".join(f"{name} ({kind})" for name, kind in sorted(types.items()))
        raise BagError(f"The bag {bag} has no image topic; its topics: {topics or 'none'}.")
    return tuple(chosen), tuple(notes)


def result_prefixes(topics: Sequence[str]) -> dict[str, str]:
    """Return what comes before `/emotions` in the names of the results of each image topic.

    The only topic gets `/emotions` itself. Of several, each gets the namespace of its images, as
    in `/front/image_raw` and `/front/emotions`, or its full name where two share a namespace.
    """
    if len(topics) == 1:
        return {topics[0]: ""}
    bases = {name: name.removesuffix(_COMPRESSED) for name in topics}
    namespaces = {name: base.rpartition("/")[0] for name, base in bases.items()}
    prefixes = {}
    for name in topics:
        is_unique = list(namespaces.values()).count(namespaces[name]) == 1
        is_own_base = list(bases.values()).count(bases[name]) == 1
        if is_unique:
            prefixes[name] = namespaces[name]
        else:
            prefixes[name] = bases[name] if is_own_base else name
    return prefixes


def _reason_to_leave_out(name: str, images: Sequence[str]) -> str:
    base = name.removesuffix(_COMPRESSED)
    if base.endswith(_ANNOTATED):
        return "it holds annotated images"
    if name.endswith(_DEPTH):
        return "it holds depth images"
    if base != name and base in images:
        return f"{base} holds the same images"
    return ""
