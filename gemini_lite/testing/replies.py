"""What the stand-in sends back: a model's answer, an error in Google's shape, or exact bytes."""
from __future__ import annotations

import copy
import json
from typing import Any, Callable, Iterable, Iterator, List, Mapping, Optional, Sequence, Union

from ..json_data import JSON, dict_or_empty, list_of_dicts, preview
from .message_fields import messages
from .request import Request

_STATUSES = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 409: "ABORTED",
    429: "RESOURCE_EXHAUSTED", 499: "CANCELLED", 500: "INTERNAL", 501: "UNIMPLEMENTED", 503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_CANDIDATE_FIELDS = {
    "content", "index", "finishReason", "finishMessage", "safetyRatings", "citationMetadata", "groundingMetadata",
    "urlContextMetadata", "avgLogprobs", "logprobsResult", "tokenCount",
}


class Answer:
    """What the stand-in sends back: a `Reply`, an `Error` or a `Raw`."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"

    def render(self, request: Request, serial: int) -> Raw:
        """The bytes that answer this request, the `serial`-th of its kind."""
        raise NotImplementedError


class Raw(Answer):
    """Exactly these pieces, each flushed on its own: one HTTP chunk each, unless a header asks for another shape.

    With Content-Length or `Connection: close` in `headers` the body is not chunked. `delay` is in seconds, before each
    piece but the first; an empty piece sends nothing, so it makes a pause. `cut=True` closes the connection without
    the terminator. With `status=None` no head is sent: the pieces are all, and then the connection is closed.
    """

    def __init__(self, *pieces: bytes, status: Optional[int] = 200, headers: Optional[Mapping[str, str]] = None,
                 cut: bool = False, delay: float = 0) -> None:
        odd = [piece for piece in pieces if not isinstance(piece, (bytes, bytearray, memoryview))]
        if odd:
            raise TypeError(f"raw() sends bytes, not {type(odd[0]).__name__}: write b\"...\" or text.encode()")
        self.pieces: Iterable[bytes] = pieces
        self.status = status if status is None else _checked(status)
        self.headers = {name.lower(): value for name, value in (headers or {}).items()}
        self.cut = cut
        self.delay = delay

    def render(self, request: Request, serial: int) -> Raw:
        return self

    def changed(self, headers: Mapping[str, str], pieces: Optional[Iterable[bytes]] = None) -> Raw:
        """The same with these headers (names in lower case), and with other pieces if they are given."""
        raw = copy.copy(self)
        raw.headers, raw.pieces = dict(headers), self.pieces if pieces is None else pieces
        return raw


class Error(Answer):
    """An error in Google's shape; `status` defaults to the google.rpc name of the HTTP `code`.

    A stream gets it as the API in question sends it: the Developer API and Vertex AI as an object if events were asked
    for with ``alt=sse``; Code Assist, and every API without ``alt=sse``, as an array of one. `reason` is Google's word
    for it, such as ``API_KEY_INVALID``: it makes the ErrorInfo that is among Google's details.
    """

    def __init__(self, code: int, message: str = "", status: Optional[str] = None, details: Sequence[JSON] = (),
                 headers: Optional[Mapping[str, str]] = None, reason: Optional[str] = None) -> None:
        if reason is not None:
            details = [*details, {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason,
                                  "domain": "googleapis.com"}]
        self.code = _checked(code)
        error = {"code": code, "message": message, "status": status or _STATUSES.get(code, "UNKNOWN")}
        self.error: JSON = snapshot({**error, "details": details} if details else error)
        self.headers = dict(headers or {})

    def render(self, request: Request, serial: int) -> Raw:
        return json_answer(self.body(request), self.code, self.headers)

    def body(self, request: Request) -> object:
        """The JSON that `request` gets."""
        body = {"error": self.error}
        as_array = request.streamed and (request.code_assist or request.query.get("alt") != "sse")
        return [body] if as_array else body


Item = Union[str, JSON, Sequence[Union[str, JSON]], Error]


class Reply(Answer):
    """A model's answer, in as many events as there are items; a unary call gets them folded into one.

    An item is a text, a part dict, or a list of these: the parts of one event. An `Error` as the last item breaks a
    stream off with that error as bare JSON, without ``data:``, as Google's servers do; a unary call gets the error
    alone. `fields` have the API's camelCase names and go into the last event (those of a candidate into its candidate);
    a field that is None is left out of all events. Without items there is a candidate without content, and with a
    `promptFeedback` not even that. `delay` is the seconds before each event but the first (None: the server's
    `event_delay`); `cut=True` closes the connection after the last event, which then does not finish the answer.
    """

    def __init__(self, *items: Item, delay: Optional[float] = None, cut: bool = False, **fields: Any) -> None:
        odd = [name for name in fields if "_" in name]
        if odd:
            raise TypeError(f"reply() takes the API's own names, in camelCase; not {', '.join(odd)}")
        self.delay = delay
        self.cut = cut
        self.error = items[-1] if items and isinstance(items[-1], Error) else None
        self.items: List[Any] = snapshot(items[:-1] if self.error else items)
        for item in self.items:
            for part in item if isinstance(item, (list, tuple)) else [item]:
                _check_part(part)
        self.fields: JSON = snapshot(fields)

    def render(self, request: Request, serial: int) -> Raw:
        events = list(self._events(request, f"fake-response-{serial}"))
        bodies = [_envelope(event) if request.code_assist else event for event in events]
        if request.streamed:
            return self._stream(request, bodies)
        if self.error:
            return self.error.render(request, serial)
        folded = _folded(events)
        answer = json_answer(_envelope(folded) if request.code_assist else folded)
        return Raw(b"".join(answer.pieces)[:-1], headers=answer.headers, cut=True) if self.cut else answer

    def _stream(self, request: Request, bodies: Sequence[JSON]) -> Raw:
        sse = request.query.get("alt") == "sse"
        pieces = [b"data: %b\r\n\r\n" % dump(body) for body in bodies] if sse else _array_pieces(bodies, self.error)
        if sse and self.error:
            pieces.append(dump(self.error.body(request)) + b"\n")
        content_type = "text/event-stream" if sse else "application/json; charset=UTF-8"
        if self.cut and not sse:
            pieces.pop()
        return Raw(*pieces, headers={"Content-Type": content_type}, delay=self.delay or 0, cut=self.cut)

    def _events(self, request: Request, response_id: str) -> Iterator[JSON]:
        prompt_tokens, answer_tokens = token_count(request.body), 0
        contents = [{"content": {"role": "model", "parts": _parts(item)}} for item in self.items]
        contents = contents or ([] if self.error else [{}])
        for number, content in enumerate(contents, 1):
            answer_tokens += token_count(content)
            candidate: JSON = {**content, "index": 0}
            event = {
                "candidates": [candidate], "modelVersion": request.model, "responseId": response_id,
                "usageMetadata": {"promptTokenCount": prompt_tokens, "candidatesTokenCount": answer_tokens,
                                  "totalTokenCount": prompt_tokens + answer_tokens},
            }
            self._set_fields(event, candidate, last=number == len(contents))
            yield event

    def _set_fields(self, event: JSON, candidate: JSON, last: bool) -> None:
        unfinished = self.error or self.cut
        fields = {**({} if unfinished else {"finishReason": "STOP"}), **self.fields} if last else self.fields
        for name, value in fields.items():
            home = candidate if name in _CANDIDATE_FIELDS else event
            if value is None:
                home.pop(name, None)
            elif last:
                home[name] = value
        if self.fields.get("promptFeedback") and not self.items and not _CANDIDATE_FIELDS & self.fields.keys():
            event.pop("candidates")


def call(name: str, args: JSON, id: Optional[str] = None, signature: Optional[str] = None) -> JSON:
    """A functionCall part, with `signature` beside it as its thoughtSignature."""
    function: JSON = {"name": name, "args": args} if id is None else {"id": id, "name": name, "args": args}
    part: JSON = {"functionCall": function}
    return part if signature is None else {**part, "thoughtSignature": signature}


def dump(value: object) -> bytes:
    """`value` as JSON."""
    try:
        return json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:    # half a surrogate pair, which has no bytes in UTF-8
        return json.dumps(value).encode()


def snapshot(value: Any) -> Any:
    """A deep copy of JSON data; what is not JSON fails here, in the test's thread and not in the server's."""
    return json.loads(dump(value))


def _checked(status: object) -> int:
    if not isinstance(status, int) or not 100 <= status < 1000:
        raise ValueError(f"an HTTP status is a number such as 503, not {status!r}")
    return status


def _check_part(part: object) -> None:
    """TypeError or ValueError for what a user did not mean to be a part of an answer."""
    if isinstance(part, str):
        return
    if isinstance(part, dict):
        if not part or not messages("developer")["Part"].keys().isdisjoint(part):
            return
        raise ValueError(f"a dict is a part of an answer, such as {{'text': ...}}, and {preview(part)} has no field of "
                         "a part: for an answer in JSON write reply(json.dumps(...))")
    raise TypeError(f"an item of an answer is a text, a part dict or a list of these, not {type(part).__name__}; for "
                    "an answer in JSON write reply(json.dumps(...))")


def json_answer(body: object, status: int = 200, headers: Optional[Mapping[str, str]] = None) -> Raw:
    """An answer with `body` as its JSON."""
    data = dump(body)
    usual = {"Content-Type": "application/json; charset=UTF-8", "Content-Length": str(len(data))}
    return Raw(data, status=status, headers={**usual, **(headers or {})})


def token_count(value: object) -> int:
    """The stand-in's token count: one for every four characters begun under a `text` key, and never less than one."""
    return max(1, (_characters(value) + 3) // 4)


def _characters(value: object) -> int:
    if isinstance(value, list):
        return sum(map(_characters, value))
    if isinstance(value, dict):
        return sum(len(inner) if name == "text" and isinstance(inner, str) else _characters(inner)
                   for name, inner in value.items())
    return 0


def _array_pieces(bodies: Sequence[JSON], error: Optional[Error]) -> List[bytes]:
    """The pieces of a JSON array, one for each element and the bracket that ends it, as a stream without ``alt=sse``.
    """
    elements: List[JSON] = [*bodies, *([{"error": error.error}] if error else [])]
    starts = [b"[", *[b",\r\n"] * (len(elements) - 1)]
    pieces = [start + dump(element) for start, element in zip(starts, elements)]
    return [*pieces, b"\n]\n"] if pieces else [b"[]"]


def _parts(item: Any) -> List[JSON]:
    return [{"text": part} if isinstance(part, str) else part for part in (item if isinstance(item, list) else [item])]


def _envelope(event: JSON) -> JSON:
    """An event as Code Assist sends it: the response id travels outside, as the trace id."""
    inner = dict(event)
    trace = inner.pop("responseId", None)
    return {"response": inner} if trace is None else {"response": inner, "traceId": trace}


def _folded(events: Sequence[JSON]) -> JSON:
    """The one answer that a unary call gets in place of these events."""
    answer: JSON = {}
    candidate: JSON = {}
    parts: List[JSON] = []
    for event in events:
        first = (list_of_dicts(event.get("candidates")) or [{}])[0]
        parts += dict_or_empty(first.get("content")).get("parts", [])
        candidate.update(first)
        answer.update(event)
    if parts:
        candidate["content"] = {**candidate["content"], "parts": _joined(parts)}
    if "candidates" in answer:
        answer["candidates"] = [candidate, *answer["candidates"][1:]]
    return answer


def _joined(parts: Sequence[JSON]) -> List[JSON]:
    joined: List[JSON] = []
    for part in parts:
        before = joined[-1] if joined else {}
        kind = _text_kind(part)
        if kind and kind == _text_kind(before):
            joined[-1] = {**before, "text": before["text"] + part["text"]}
        else:
            joined.append(part)
    return joined


def _text_kind(part: JSON) -> str:
    """Which texts a part may be joined with; "" for a part that stands alone, as one with a signature does."""
    if "text" not in part or part.keys() - {"text", "thought"}:
        return ""
    return "thought" if part.get("thought") else "answer"


Service = Callable[[Request], Optional[Answer]]  # None: not a request of this service's; called from many threads
