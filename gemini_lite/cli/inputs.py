"""What the command line brings: words, standard input, attachments, a schema and tools."""
from __future__ import annotations

import contextlib
import importlib
import json
import mimetypes
import os
import re
import sys
from typing import Any, Dict, List, Optional, Sequence

from .. import media
from ..options import GeminiOptions

Part = Dict[str, Any]
_URI = re.compile(r"(https?|gs)://")


class Inputs:
    """The files that a command names; ``-`` is standard input, which can be read once."""

    def __init__(self, taken_by: Optional[str] = None) -> None:
        self._taken_by = taken_by

    def prompt(self, words: Sequence[str], attached: Sequence[Any]) -> List[Any]:
        """The attachments, then what comes on standard input, then the words; [] if there is nothing."""
        parts = self.parts(attached)
        piped = decoded(self._standard_input("the prompt")).strip() if is_piped() and not self._taken_by else ""
        text = "\n\n".join(filter(None, (piped, " ".join(words).strip())))
        return [*parts, *([text] if text else [])]

    def parts(self, attached: Sequence[Any]) -> List[Part]:
        """What --attach (a name) and --at (a name and a MIME type) give."""
        return [self.part(*([given] if isinstance(given, str) else given)) for given in attached]

    def part(self, name: str, mime_type: Optional[str] = None) -> Part:
        """A file or a URI as a part of a prompt."""
        if mime_type is not None and not re.fullmatch(r"[\w.+-]+/[^/]+", mime_type):
            raise ValueError(f"{mime_type!r} is no MIME type: write one such as image/png")
        if _URI.match(name):
            return media.from_uri(name, mime_type)
        data = self.read(name, "an attachment")
        if not data:
            raise ValueError(f"the attachment {name} is empty")
        guessed, packed = mimetypes.guess_type(name)
        try:
            return media.from_bytes(data, mime_type or (None if packed else guessed))
        except ValueError:
            if b"\0" in data or not _is_utf8(data):
                raise ValueError("neither the name nor the first bytes of %s tell what it is: write --at %s "
                                 "TYPE/SUBTYPE" % (name, name)) from None
        return media.from_bytes(data, "text/plain")

    def schema(self, name: str) -> Dict[str, Any]:
        """A JSON Schema."""
        try:
            schema = json.loads(self.read(name, "the schema"))
        except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ValueError(f"the schema {name} is no JSON: {error}") from None
        if not isinstance(schema, dict):
            raise ValueError("the schema %s is no JSON Schema, which is an object: {\"type\": ...}" % name)
        return schema

    def read(self, name: str, what: str) -> bytes:
        """The bytes of a file, which is `what` the command wants."""
        if name == "-":
            return self._standard_input(what)
        try:
            with open(name, "rb") as file:
                return file.read()
        except (OSError, ValueError) as error:  # ValueError: a null byte
            raise ValueError(f"{name} cannot be read: {getattr(error, 'strerror', error)}") from None

    def _standard_input(self, what: str) -> bytes:
        if self._taken_by:
            raise ValueError("standard input can be read once: it is %s already, and cannot be %s too" % (
                self._taken_by, what))
        if not is_piped():
            raise ValueError(f"{what} is to come on standard input, which is a terminal: name a file, or use a pipe")
        self._taken_by = what
        try:
            return b"" if sys.stdin is None else sys.stdin.buffer.read()
        except OSError as error:
            raise ValueError(f"standard input cannot be read: {error.strerror}") from error


def options(given: Any, **more: Any) -> GeminiOptions:
    """What the flags ask for."""
    made = GeminiOptions(
        model=given.model, system_prompt=given.system, temperature=given.temperature,
        include_thoughts=given.thinking or None, tools=tools(given.tool), **more)
    made.toolbox  # or the error
    return made


def tools(names: Sequence[str]) -> Optional[List[Any]]:
    """The tools that are named as ``module:function``; modules in the current folder are found too."""
    if names and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    return [_tool(name) for name in names] or None


def _tool(name: str) -> Any:
    module, colon, path = name.partition(":")
    if not (module and colon and path):
        raise ValueError(f"{name!r} names no tool: write --tool module:function")
    try:
        with contextlib.redirect_stdout(sys.stderr):
            found = importlib.import_module(module)
    except Exception as error:  # it is the user's code
        raise ValueError(f"the tool {name} cannot be imported: {type(error).__name__}: {error}") from error
    try:
        for attribute in path.split("."):
            found = getattr(found, attribute)
    except AttributeError as error:
        raise ValueError(f"the tool {name} is not there: {error}") from None
    return found


def decoded(data: bytes) -> str:
    """Text as it may come in a pipe."""
    return data.decode("utf-8", "replace")


def is_piped() -> bool:
    """Whether standard input is a pipe or a file, or is not there at all."""
    return sys.stdin is None or not sys.stdin.isatty()


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
        return True
    except UnicodeDecodeError:
        return False
