"""What a command reads: standard input, attached files and a JSON Schema, as parts of a prompt."""
from __future__ import annotations

import json
import os
import re
import sys
from typing import List, Optional, Sequence, Union

from .. import media
from ..json_data import JSON
from .arguments import Attachment

_URI = re.compile(r"(https?|gs)://")
_TYPE_NAMES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
_SHORT_TYPE = re.compile(r"(str|int|float|bool)|(list)(?:\[(str|int|float|bool)\])?")
_MIME_TYPE = re.compile(r"[\w.+-]+/[^/]+")


class Inputs:
    """Reads the files that a command names; the name ``-`` is standard input, which can be read once.

    `stdin_use` says what standard input is used for already ("the chat"), None if it is free.
    """

    def __init__(self, stdin_use: Optional[str] = None) -> None:
        self._stdin_use = stdin_use

    def build_prompt(self, words: Sequence[str], attachments: Sequence[Attachment]) -> List[Union[JSON, str]]:
        """The attachments, then standard input if it is piped, then the words; [] if there is none of these."""
        parts = self.attachment_parts(attachments)
        piped = ""
        if stdin_is_piped() and not self._stdin_use:
            piped = decode_text(self._read_stdin("the prompt")).strip()
        text = "\n\n".join(filter(None, (piped, " ".join(words).strip())))
        return [*parts, *([text] if text else [])]

    def attachment_parts(self, attachments: Sequence[Attachment]) -> List[JSON]:
        """A part for each --attach and --at."""
        return [self.attachment_part(*([item] if isinstance(item, str) else item)) for item in attachments]

    def attachment_part(self, name: str, mime_type: Optional[str] = None) -> JSON:
        """A file or a URI as a part; without a MIME type it is told by the name, then by the first bytes."""
        if mime_type is not None and not _MIME_TYPE.fullmatch(mime_type):
            raise ValueError(f"{mime_type!r} is no MIME type: write one such as image/png")
        if _URI.match(name):
            return media.from_uri(name, mime_type)
        data = self.read_file(name, "an attachment")
        if not data:
            raise ValueError(f"the attachment {name} is empty")
        mime_type = mime_type or media.type_of_name(name) or media.type_of_data(data)
        if mime_type is None:
            raise ValueError(f"neither the name nor the first bytes of {name} tell what it is: write --at {name} "
                             "TYPE/SUBTYPE")
        return media.from_bytes(data, mime_type)

    def load_schema(self, name: str) -> JSON:
        """The JSON Schema in a file, or in the text itself: as JSON, or as `parse_short_schema` reads it."""
        if not os.path.exists(name) and re.search(r"[,{ ]", name):
            return parse_short_schema(name) if not name.lstrip().startswith("{") else _parse_schema(name, name)
        return _parse_schema(self.read_file(name, "the schema"), name)

    def read_file(self, name: str, use: str) -> bytes:
        """The bytes of a file; `use` names in errors what they are for."""
        if name == "-":
            return self._read_stdin(use)
        try:
            with open(name, "rb") as file:
                return file.read()
        except (OSError, ValueError) as error:  # ValueError: a null byte in the name
            raise ValueError(f"{name} cannot be read: {getattr(error, 'strerror', error)}") from None

    def _read_stdin(self, use: str) -> bytes:
        if self._stdin_use:
            raise ValueError(f"standard input can be read once: it is {self._stdin_use} already, and cannot be {use} "
                             "too")
        if not stdin_is_piped():
            raise ValueError(f"{use} is to come on standard input, which is a terminal: name a file, or use a pipe")
        self._stdin_use = use
        try:
            return sys.stdin.buffer.read()
        except OSError as error:
            raise ValueError(f"standard input cannot be read: {error.strerror}") from error


def parse_short_schema(text: str) -> JSON:
    """The schema of ``name, age int, tags list``: an object with these required properties, strings where no type is.

    A word after the name is its type: str, int, float, bool, list, or a list of one of these as ``list[int]``.
    """
    properties: JSON = {}
    for field in text.split(","):
        words = field.split()
        kind = _SHORT_TYPE.fullmatch(words[1] if len(words) > 1 else "str")
        if not words or len(words) > 2 or kind is None or not words[0].isidentifier():
            raise ValueError(f"the schema {text!r} is neither a file nor a list of fields such as 'name, age int, tags "
                             f"list'; the types are {', '.join(_TYPE_NAMES)}, list and list[int]")
        item: JSON = {"type": _TYPE_NAMES[kind.group(1) or kind.group(3) or "str"]}
        properties[words[0]] = item if kind.group(1) else {"type": "array", "items": item}
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def file_notices(words: Sequence[str]) -> List[str]:
    """A sentence for each of the words that names a file here: it is sent as text."""
    return [f"{word} is a file here, and was taken as words: to send it along, write -a {word}"
            for word in words if re.fullmatch(r"\S*[./]\S*", word) and len(word) < 1000 and os.path.isfile(word)]


def _parse_schema(data: Union[str, bytes], name: str) -> JSON:
    try:
        schema: object = json.loads(data)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"the schema {name} is no JSON: {error}") from None
    if not isinstance(schema, dict):
        raise ValueError(f'the schema {name} is no JSON Schema, which is an object: {{"type": ...}}')
    return schema


def stdin_is_piped() -> bool:
    """Whether standard input is a pipe or a file; False for a terminal."""
    return not sys.stdin.isatty()


def decode_text(data: bytes) -> str:
    """`data` as UTF-8, with U+FFFD for bytes that are not."""
    return data.decode("utf-8", "replace")
