"""The sources of an answer: from web and file search, maps, and text that was recited."""
from __future__ import annotations

from typing import List, NamedTuple, Optional, Sequence, Tuple

from ..json_data import JSON, APIObject, dict_or_empty, int_or_none, list_of_dicts, str_or_none

_SOURCE_FIELDS = ("web", "retrievedContext", "maps", "image")


class _Source(NamedTuple):
    title: str
    uri: str
    segment: str


class Citation(_Source):
    """A source: a tuple of `title`, `uri` and `segment`, the piece of the answer it stands for.

    `segment` is ``""`` where Google names none. From file search `text` is the passage that was found, `store` the file
    search store and `metadata` the file's own entries. For recited text `start` and `end` are Google's indices into
    the answer, and `license` is its licence.
    """

    text: str = ""
    store: str = ""
    metadata: Sequence[APIObject] = ()
    license: str = ""
    start: Optional[int] = None
    end: Optional[int] = None


def citations(candidate: JSON) -> List[Citation]:
    """The sources in a candidate's ``groundingMetadata``, one for each piece of text and source, and those in its
    ``citationMetadata``. Linear in its size."""
    return [*_grounding(dict_or_empty(candidate.get("groundingMetadata"))),
            *_recitations(dict_or_empty(candidate.get("citationMetadata")))]


def _grounding(grounding: JSON) -> List[Citation]:
    chunks = list_of_dicts(grounding.get("groundingChunks"))
    sources = [_source(chunk) for chunk in chunks]
    fields = [_search_fields(source) for source in sources]
    pairs: List[Tuple[int, str]] = []
    for support in list_of_dicts(grounding.get("groundingSupports")):
        indices, segment = support.get("groundingChunkIndices"), dict_or_empty(support.get("segment"))
        text = str_or_none(segment.get("text")) or ""
        pairs += [(index, text) for index in (indices if isinstance(indices, list) else ())
                  if type(index) is int and 0 <= index < len(sources)]
    used = {index for index, _ in pairs}
    pairs += [(index, "") for index in range(len(sources)) if index not in used]
    return [_citation(sources[index], segment, fields[index]) for index, segment in pairs]


def _source(chunk: JSON) -> JSON:
    """What a grounding chunk holds: a page, a passage of a file, a place."""
    return next((chunk[key] for key in _SOURCE_FIELDS if isinstance(chunk.get(key), dict)), {})


def _search_fields(source: JSON) -> JSON:
    return {"text": _text(source, "text"), "store": _text(source, "fileSearchStore"),
            "metadata": [APIObject(item) for item in list_of_dicts(source.get("customMetadata"))]}


def _recitations(metadata: JSON) -> List[Citation]:
    found = list_of_dicts(metadata.get("citationSources")) or list_of_dicts(metadata.get("citations"))
    return [_citation(source, "", {"license": _text(source, "license"), "start": int_or_none(source.get("startIndex")),
                                   "end": int_or_none(source.get("endIndex"))}) for source in found]


def _citation(source: JSON, segment: str, fields: JSON) -> Citation:
    uri = _text(source, "uri") or _text(source, "sourceUri")
    citation = Citation(_text(source, "title"), uri, segment)
    citation.__dict__.update(fields)
    return citation


def _text(source: JSON, key: str) -> str:
    return str_or_none(source.get(key)) or ""
