"""Function calls that a stream brings in pieces (``partialArgs``, ``willContinue``), put together to whole calls.

Source: https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/function-calling
"""
from __future__ import annotations

import re
from typing import Any, Dict, List, Optional, Tuple, Union

from ..json_data import JSON, copied, dict_or_empty, preview

MAX_DEPTH = 100  # of names and indices in one path

_Step = Union[str, int]
_STEP = re.compile(r"""
    \.(?P<name>[^.\[\]]+) | \[(?P<index>[0-9]{1,9})\] | \[(?P<quoted>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")\]
    """, re.VERBOSE | re.DOTALL)
_OTHERS = {"numberValue", "boolValue", "nullValue"}
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


class BadPiece(ValueError):
    """A piece of a call that cannot be put to the others."""


class CallPieces:
    """Puts the pieces of the calls in one content together, as they come.

    A piece is a ``functionCall`` that will be continued or continues one, or has ``partialArgs``. After a piece that
    cannot be put to the others `problem` says why, and nothing more is put together.
    """

    def __init__(self) -> None:
        self.problem: Optional[str] = None
        self._part: Optional[JSON] = None  # of the call that will be continued
        self._arguments = _Arguments({})

    @property
    def open(self) -> bool:
        """Whether a call will be continued."""
        return self._part is not None

    def is_piece(self, part: JSON) -> bool:
        """Whether `part` is to be given to `add`."""
        call = part.get("functionCall")
        if not isinstance(call, dict):
            return False
        return self._part is not None or "partialArgs" in call or bool(call.get("willContinue"))

    def add(self, part: JSON) -> Optional[JSON]:
        """Take in a piece; the part with the whole call, if this was its last piece."""
        if self.problem is not None:
            return None
        try:
            return self._add(part)
        except BadPiece as error:
            self.problem = str(error)
            return None

    def _add(self, part: JSON) -> Optional[JSON]:
        call = part["functionCall"]
        if self._part is None:
            self._part = {**part, "functionCall": {
                key: value for key, value in call.items() if key not in ("args", "partialArgs", "willContinue")}}
            self._arguments = _Arguments(copied(dict_or_empty(call.get("args"))))
        else:
            self._continue(part, call)
        self._arguments.add(call.get("partialArgs") or [])
        if call.get("willContinue"):
            return None
        whole, self._part = self._part, None
        whole["functionCall"]["args"] = self._arguments.whole()
        return whole

    def _continue(self, part: JSON, call: JSON) -> None:
        """What a later piece says beside the arguments: a signature, an id."""
        assert self._part is not None
        if call.get("name"):
            raise BadPiece(f"a call of {preview(call['name'])} began before the one before it had ended")
        if call.get("args"):
            raise BadPiece("a call was continued with whole arguments")
        self._part.update({key: value for key, value in part.items() if key != "functionCall"})
        if call.get("id"):
            self._part["functionCall"].setdefault("id", call["id"])


class _Text:
    """A string that comes in pieces, joined once."""

    def __init__(self) -> None:
        self.pieces: List[str] = []
        self.open = True


class _Arguments:
    """The arguments of one call, built from values at paths. Linear in the pieces."""

    def __init__(self, values: JSON) -> None:
        self._values = values
        self._texts: List[Tuple[Any, _Step, _Text]] = []  # where each stands: its dict or list, and its place there

    def add(self, pieces: object) -> None:
        if not isinstance(pieces, list):
            raise BadPiece(f"partialArgs is no list: {preview(pieces)}")
        for piece in pieces:
            if not isinstance(piece, dict):
                raise BadPiece(f"partialArgs holds {preview(piece)}")
            self._add(piece)

    def whole(self) -> JSON:
        for holder, step, text in self._texts:
            if text.open:
                raise BadPiece(f"the call ended within its argument {step!r:.80}")
            holder[step] = "".join(text.pieces)
        return self._values

    def _add(self, piece: JSON) -> None:
        path = piece.get("jsonPath")
        steps = _steps(path)
        holder: Any = self._values
        for step, following in zip(steps, steps[1:]):
            if not _has(holder, step, path):
                _put(holder, step, [] if isinstance(following, int) else {})
            holder = holder[step]
        step = steps[-1]
        if _has(holder, step, path):
            self._append(holder[step], piece, path)
        elif "stringValue" in piece:
            text = _Text()
            _put(holder, step, text)
            self._texts.append((holder, step, text))
            self._append(text, piece, path)
        else:
            _put(holder, step, _plain_value(piece, path))

    def _append(self, text: object, piece: JSON, path: object) -> None:
        value = piece.get("stringValue", "")
        if not isinstance(text, _Text) or not isinstance(value, str) or value and not text.open or _OTHERS & set(piece):
            raise BadPiece(f"a second value came for {preview(path)}")
        text.pieces.append(value)
        text.open = bool(piece.get("willContinue"))


def _plain_value(piece: JSON, path: object) -> Union[float, bool, None]:
    number, truth = piece.get("numberValue"), piece.get("boolValue")
    if type(number) in (int, float):
        return number
    if isinstance(truth, bool):
        return truth
    if "nullValue" in piece:
        return None
    raise BadPiece(f"no value came for {preview(path)}")


def _steps(path: object) -> List[_Step]:
    """The names and indices of a JSON path such as ``$.items[0].name``."""
    if not isinstance(path, str) or path[:1] != "$":
        raise BadPiece(f"{preview(path)} is no JSON path")
    found: List[_Step] = []
    position = 1
    while position < len(path):
        step = _STEP.match(path, position)
        if step is None or len(found) == MAX_DEPTH:
            raise BadPiece(f"{preview(path)} is no JSON path of at most {MAX_DEPTH} steps")
        if step["index"]:
            found.append(int(step["index"]))
        else:
            found.append(step["name"] or _unquoted(step["quoted"]))
        position = step.end()
    if not found or isinstance(found[0], int):
        raise BadPiece(f"{preview(path)} names no argument")
    return found


def _unquoted(text: str) -> str:
    def unescaped(match: Any) -> str:
        what: str = match[1]
        return chr(int(what[1:], 16)) if len(what) == 5 else _ESCAPED.get(what, what)

    return _ESCAPE.sub(unescaped, text[1:-1])


def _has(holder: object, step: _Step, path: object) -> bool:
    """Whether `holder` has a value at `step`; BadPiece if it cannot have one."""
    if isinstance(holder, dict) and isinstance(step, str):
        return step in holder
    if isinstance(holder, list) and isinstance(step, int) and step <= len(holder):
        return step < len(holder)
    raise BadPiece(f"{preview(path)} does not fit the arguments before it")


def _put(holder: Union[Dict[_Step, object], List[object]], step: _Step, value: object) -> None:
    if isinstance(holder, list):
        holder.append(value)  # an index is at most the length so far
    else:
        holder[step] = value


def assembled(parts: List[JSON]) -> List[JSON]:
    """`parts` with whole calls where they came in pieces; the same list if none did. A bad piece leaves out its call.
    """
    pieces = CallPieces()
    if not any(pieces.is_piece(part) for part in parts):
        return parts
    return [part for part in (pieces.add(part) if pieces.is_piece(part) else part for part in parts) if part]
