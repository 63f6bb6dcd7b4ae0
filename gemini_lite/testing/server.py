"""A Gemini that lives on 127.0.0.1, for your tests and ours.

    with FakeGemini() as fake:
        fake.reply("Hel", "lo")                       # two events of a stream, or one unary answer "Hello"
        fake.error(429, "slow down", headers={"Retry-After": "1"})
        ... the code under test, with fake.url as its base URL ...
    assert fake.requests[0].body["contents"][0]["parts"] == [{"text": "Hi"}]

The version in a path may be anything, and no key or token is checked.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
import time
from collections import Counter, defaultdict, deque
from http.server import BaseHTTPRequestHandler
from typing import (
    Any, Callable, DefaultDict, Deque, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple, Union,
    cast,
)
from urllib.parse import parse_qsl, unquote, urlsplit

__all__ = ["FakeGemini", "Request", "Reply", "Error", "Raw", "call"]

JSON = Dict[str, Any]
Item = Union[str, JSON, Sequence[Union[str, JSON]]]

_ROUTES = {
    "generate": r"POST /[^/:]+(/models/[^/:]+)?:(g|streamG)enerateContent",
    "countTokens": r"POST /[^/:]+(/models/[^/:]+)?:countTokens",
    "models": r"GET /[^/:]+/models(/[^/:]+)?",
    "token": r"POST /token",
    "loadCodeAssist": r"POST /[^/:]+:loadCodeAssist",
    "onboardUser": r"POST /[^/:]+:onboardUser",
    "operations": r"GET /[^/:]+/operations/.+",
    "retrieveUserQuota": r"POST /[^/:]+:retrieveUserQuota",
}
_STATUSES = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 409: "ABORTED",
    429: "RESOURCE_EXHAUSTED", 499: "CANCELLED", 500: "INTERNAL", 501: "UNIMPLEMENTED", 503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_CANDIDATE_FIELDS = {
    "content", "index", "finishReason", "finishMessage", "safetyRatings", "citationMetadata", "groundingMetadata",
    "urlContextMetadata", "avgLogprobs", "logprobsResult", "tokenCount",
}
_SECRET_HEADERS = {"x-goog-api-key", "authorization"}
_SECRET_FIELDS = {"refresh_token", "client_secret"}


class Request(NamedTuple):
    """One request as it arrived: header names in lower case; `body` parsed if it is JSON or a form, else bytes."""

    method: str
    path: str
    headers: Dict[str, str]
    body: Any
    connection: int

    @property
    def kind(self) -> str:
        """What is asked for: "generate" (streamed or not), a name that `FakeGemini.answer` takes, or "" if unknown."""
        line = f"{self.method} {self._bare_path}"
        return next((kind for kind, route in _ROUTES.items() if re.fullmatch(route, line)), "")

    @property
    def model(self) -> str:
        """The model id, from the path or from Code Assist's envelope; "" if there is none."""
        in_path = re.search(r"/models/([^/:]+)", self._bare_path)
        if in_path:
            return in_path.group(1)
        return str(self.body.get("model", "")) if isinstance(self.body, dict) else ""

    @property
    def streamed(self) -> bool:
        return self._bare_path.endswith(":streamGenerateContent")

    @property
    def code_assist(self) -> bool:
        return "/models" not in self._bare_path

    @property
    def query(self) -> Dict[str, str]:
        return dict(parse_qsl(urlsplit(self.path).query))

    @property
    def _bare_path(self) -> str:
        return unquote(urlsplit(self.path).path)


class Answer:
    """What the fake sends back: a `Reply`, an `Error` or a `Raw`."""

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
        self.pieces = pieces
        self.status = status
        self.headers = {name.lower(): value for name, value in (headers or {}).items()}
        self.cut = cut
        self.delay = delay

    def render(self, request: Request, serial: int) -> Raw:
        return self


class Error(Answer):
    """An error in Google's shape; `status` defaults to the google.rpc name of the HTTP `code`."""

    def __init__(self, code: int, message: str = "", status: Optional[str] = None, details: Sequence[JSON] = (),
                 headers: Optional[Mapping[str, str]] = None) -> None:
        self.code = code
        self.error: JSON = {"code": code, "message": message, "status": status or _STATUSES.get(code, "UNKNOWN")}
        if details:
            self.error["details"] = _snapshot(details)
        self.headers = dict(headers or {})

    def render(self, request: Request, serial: int) -> Raw:
        body = {"error": self.error}
        return _json_answer([body] if request.streamed else body, self.code, self.headers)


class Reply(Answer):
    """A model's answer, in as many events as there are items; a unary call gets them folded into one.

    An item is a text, a part dict, or a list of these: the parts of one event. `fields` have the API's camelCase names
    and go into the last event (those of a candidate into its candidate); a field that is None is left out of all
    events. Without items there is a candidate without content, and with a `promptFeedback` not even that.
    `delay` may be set to the seconds before each event but the first.
    """

    delay = 0.0

    def __init__(self, *items: Item, **fields: Any) -> None:
        odd = [name for name in fields if "_" in name]
        if odd:
            raise TypeError(f"reply() takes the API's own names, in camelCase; not {', '.join(odd)}")
        self.items: List[Any] = _snapshot(items)
        self.fields: JSON = _snapshot(fields)

    def render(self, request: Request, serial: int) -> Raw:
        events = list(self._events(request, f"fake-response-{serial}"))
        wrap = _envelope if request.code_assist else dict
        if not request.streamed:
            return _json_answer(wrap(_folded(events)))
        if request.query.get("alt") != "sse":
            return _json_answer([wrap(event) for event in events])
        return Raw(*(b"data: %b\r\n\r\n" % _dump(wrap(event)) for event in events),
                   headers={"Content-Type": "text/event-stream"}, delay=self.delay)

    def _events(self, request: Request, response_id: str) -> Iterator[JSON]:
        asked, said = _tokens(request.body), 0
        contents = [{"content": {"role": "model", "parts": _parts(item)}} for item in self.items] or [{}]
        for number, content in enumerate(contents, 1):
            said += _tokens(content)
            candidate: JSON = {**content, "index": 0}
            event = {
                "candidates": [candidate], "modelVersion": request.model, "responseId": response_id,
                "usageMetadata": {
                    "promptTokenCount": asked, "candidatesTokenCount": said, "totalTokenCount": asked + said},
            }
            self._set_fields(event, candidate, last=number == len(contents))
            yield event

    def _set_fields(self, event: JSON, candidate: JSON, last: bool) -> None:
        fields = {"finishReason": "STOP", **self.fields} if last else self.fields
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


def _dump(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _snapshot(value: Any) -> Any:
    """A deep copy of JSON data; what is not JSON fails here, in the test's thread and not in the server's."""
    return json.loads(_dump(value))


def _json_answer(body: Any, status: int = 200, headers: Optional[Mapping[str, str]] = None) -> Raw:
    data = _dump(body)
    usual = {"Content-Type": "application/json; charset=UTF-8", "Content-Length": str(len(data))}
    return Raw(data, status=status, headers={**usual, **(headers or {})})


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
        first = (event.get("candidates") or [{}])[0]
        parts += first.get("content", {}).get("parts", [])
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


def _tokens(value: Any) -> int:
    """The fake's token count: one for every four characters begun under a `text` key, and never less than one."""
    def characters(value: Any) -> int:
        if isinstance(value, list):
            return sum(map(characters, value))
        if isinstance(value, dict):
            return sum(len(v) if k == "text" and isinstance(v, str) else characters(v) for k, v in value.items())
        return 0
    return max(1, (characters(value) + 3) // 4)


_MODELS = [{
    "name": f"models/{id}", "version": "001", "displayName": id.replace("-", " ").title(), "description": "A fake.",
    "inputTokenLimit": 1048576, "outputTokenLimit": 65536, "temperature": 1, "topP": 0.95, "topK": 64,
    "maxTemperature": 2, "thinking": True, "supportedGenerationMethods": ["generateContent", "countTokens"],
} for id in ("gemini-2.5-pro", "gemini-2.5-flash", "gemini-2.5-flash-lite", "gemini-3-pro-preview")]


def _models(request: Request) -> Union[JSON, Error]:
    if request.model:
        known = [model for model in _MODELS if model["name"] == f"models/{request.model}"]
        return known[0] if known else Error(404, f"models/{request.model} is not found")
    size, start = request.query.get("pageSize", "50"), request.query.get("pageToken", "0")
    if not size.isdecimal() or not start.isdecimal():
        return Error(400, "pageSize or pageToken is invalid")
    end = int(start) + (int(size) or 50)
    page: JSON = {"models": _MODELS[int(start):end]}
    return {**page, "nextPageToken": str(end)} if end < len(_MODELS) else page


def _built_in(request: Request, serial: int) -> Union[JSON, Error]:
    """The answer to a request that nothing was scripted for, other than for the model's own words."""
    if request.kind == "models":
        return _models(request)
    onboarded = {"cloudaicompanionProject": {"id": "fake-project", "name": "fake-project"}}
    tier = {"id": "standard-tier", "name": "Gemini Code Assist"}
    bodies: Dict[str, JSON] = {
        "countTokens": {"totalTokens": _tokens(request.body)},
        "token": {"access_token": f"fake-access-token-{serial}", "expires_in": 3599, "token_type": "Bearer",
                  "scope": "https://www.googleapis.com/auth/cloud-platform"},
        "loadCodeAssist": {"currentTier": tier, "allowedTiers": [tier], "cloudaicompanionProject": "fake-project"},
        "onboardUser": {"name": "operations/fake-onboarding", "done": True, "response": onboarded},
        "operations": {"name": "operations/fake-onboarding", "done": True, "response": onboarded},
        "retrieveUserQuota": {"buckets": [
            {"remainingAmount": "1000", "remainingFraction": 1, "resetTime": "2100-01-01T00:00:00Z",
             "tokenType": "REQUESTS", "modelId": "gemini-2.5-pro"}]},
    }
    return bodies.get(request.kind) or Error(404, f"FakeGemini has nothing at {request.method} {request.path}")


class _Handler(BaseHTTPRequestHandler):
    """One client's connection: requests read from it and answered in turn, until either side closes it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def __init__(self, sock: socket.socket, serial: int, answer: Callable[[Request], Raw],
                 pause: Callable[[float], Any]) -> None:
        self._serial, self._answer, self._pause = serial, answer, pause
        # A client that leaves is no event here: tests cut, time out and cancel on purpose.
        with sock, contextlib.suppress(OSError):
            super().__init__(sock, sock.getpeername(), cast(Any, None))

    def do_POST(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        data = b"".join(self._body(headers))
        is_chunk = "x-goog-upload-offset" in headers  # the bytes of a file, whatever the Content-Type says
        body = data if is_chunk else _parsed(headers.get("content-type", ""), data)
        request = Request(self.command, self.path, headers, body, self._serial)
        self._send(self._answer(request), "text/event-stream" if request.streamed else "application/json")

    do_GET = do_PUT = do_PATCH = do_DELETE = do_POST

    def log_message(self, *args: Any) -> None:
        pass

    def _body(self, headers: Mapping[str, str]) -> Iterator[bytes]:
        if headers.get("transfer-encoding", "").lower() != "chunked":
            yield self._exactly(int(headers.get("content-length", 0)))
            return
        size = -1
        while size:
            size = int(self.rfile.readline() or b"-1", 16)
            yield self._exactly(size)
            self.rfile.readline()

    def _exactly(self, size: int) -> bytes:
        data = self.rfile.read(size) if size >= 0 else b""
        if len(data) != size:
            raise ConnectionError("the client left before the end of its body")
        return data

    def _send(self, answer: Raw, content_type: str) -> None:
        closes = answer.headers.get("connection", "").lower() == "close"
        chunked = not (answer.status is None or "content-length" in answer.headers or closes)
        self._send_head(answer.status, {
            "content-type": content_type, **answer.headers, **({"transfer-encoding": "chunked"} if chunked else {})})
        for number, piece in enumerate(answer.pieces):
            if number:
                self._pause(answer.delay)
            if piece:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        if answer.cut or answer.status is None:
            self.close_connection = True
        elif chunked:
            self.wfile.write(b"0\r\n\r\n")

    def _send_head(self, status: Optional[int], headers: Mapping[str, str]) -> None:
        if status is not None:
            self.send_response_only(status)
            for name, value in headers.items():
                self.send_header(name, value)    # "Connection: close" is obeyed by this, too
            self.end_headers()


def _parsed(content_type: str, data: bytes) -> Any:
    if "json" in content_type:
        with contextlib.suppress(ValueError):
            return json.loads(data)
    if "x-www-form-urlencoded" in content_type:
        return dict(parse_qsl(data.decode("utf-8", "replace"), keep_blank_values=True))
    return data


def _redacted(request: Request) -> Request:
    def hide(values: Dict[str, Any], secrets: Set[str]) -> Dict[str, Any]:
        return {name: "***" if name in secrets else value for name, value in values.items()}
    body = hide(request.body, _SECRET_FIELDS) if isinstance(request.body, dict) else request.body
    return request._replace(headers=hide(request.headers, _SECRET_HEADERS), body=body)


Service = Callable[[Request], Optional[Answer]]  # None: not a request of this service's; called from many threads
Given = Union[str, JSON, Sequence[Item], Answer]


class FakeGemini:
    """The Developer API, Code Assist and the OAuth token endpoint on one loopback port, answering from a script.

    `url` (the Developer API), `code_assist_url` and `token_url` are known once it is started; `requests` has what
    arrived, in order, and `connections` counts the TCP connections.

    `reply`, `error` and `raw` script what generateContent and streamGenerateContent get, in order; all else has a
    built-in answer that `answer` can script. `default` is called with the `Request` when the script is empty (from
    many threads at once) and returns a text, a part, a list of items, or a `Reply`, `Error` or `Raw`. With no reply
    left the answer is HTTP 400.

    Leaving the `with` block raises AssertionError for scripted replies nobody asked for, and what `default` raised;
    never when an exception is on its way out already. `redact=True` records credentials as `***`.
    """

    def __init__(self, default: Optional[Callable[[Request], Given]] = None, *, redact: bool = False) -> None:
        self.requests: List[Request] = []
        self.connections = 0
        self.services: List[Service] = []  # asked in turn where nothing is scripted
        self._default = default
        self._redact = redact
        self._script: DefaultDict[str, Deque[Answer]] = defaultdict(deque)
        self._served: Counter[str] = Counter()
        self._failures: List[Exception] = []
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._open: List[Tuple[socket.socket, threading.Thread]] = []

    def reply(self, *items: Item, **fields: Any) -> None:
        """Script a model's answer: see `Reply`."""
        self._add("generate", Reply(*items, **fields))

    def error(self, code: int, message: str = "", status: Optional[str] = None, details: Sequence[JSON] = (),
              headers: Optional[Mapping[str, str]] = None) -> None:
        """Script an error in Google's shape: see `Error`."""
        self._add("generate", Error(code, message, status, details, headers))

    def raw(self, *pieces: bytes, status: Optional[int] = 200, headers: Optional[Mapping[str, str]] = None,
            cut: bool = False, delay: float = 0) -> None:
        """Script exact bytes: see `Raw`."""
        self._add("generate", Raw(*pieces, status=status, headers=headers, cut=cut, delay=delay))

    call = staticmethod(call)

    def answer(self, method: str, *replies: Union[JSON, Answer]) -> None:
        """Script the next answers of a call other than generateContent; a dict is the JSON body of a 200.

        `method`: models, countTokens, token, loadCodeAssist, onboardUser, operations or retrieveUserQuota.
        """
        if method not in _ROUTES or method == "generate":
            raise ValueError(f"answer() scripts {', '.join(list(_ROUTES)[1:])}; not {method!r}")
        self._add(method, *(given if isinstance(given, Answer) else _json_answer(given) for given in replies))

    def start(self) -> FakeGemini:
        """Listen on a free port of 127.0.0.1, once; returns itself."""
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._address = self._listener.getsockname()
        self.url = self.code_assist_url = f"http://127.0.0.1:{self._address[1]}"
        self.token_url = f"{self.url}/token"
        self._acceptor = threading.Thread(target=self._accept, name="FakeGemini", daemon=True)
        self._acceptor.start()
        return self

    def close(self) -> None:
        """Stop listening, hang up on every client, and wait up to 5 s for the threads; a second call does nothing."""
        if self._closing.is_set():
            return
        self._closing.set()
        socket.create_connection(self._address).close()    # wakes accept(), which closing a socket does not everywhere
        self._acceptor.join()
        self._listener.close()
        deadline = time.monotonic() + 5
        for sock, _ in self._open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for _, thread in self._open:
            thread.join(max(0, deadline - time.monotonic()))

    def __enter__(self) -> FakeGemini:
        return self.start()

    def __exit__(self, _type: Any, error: Optional[BaseException], _trace: Any) -> None:
        self.close()
        if error is not None:
            return
        if self._failures:
            raise self._failures[0]
        unused = [f"\n  {kind}: {answer!r:.200}" for kind, queue in self._script.items() for answer in queue]
        if unused:
            raise AssertionError(f"scripted for FakeGemini, but never asked for:{''.join(unused)}")

    def _add(self, kind: str, *answers: Answer) -> None:
        with self._lock:
            self._script[kind].extend(answers)

    def _accept(self) -> None:
        while True:
            sock, _ = self._listener.accept()
            if self._closing.is_set():
                sock.close()
                return
            self.connections += 1
            thread = threading.Thread(target=_Handler, daemon=True,
                                      args=(sock, self.connections, self._answer, self._closing.wait))
            self._open = [known for known in self._open if known[1].is_alive()] + [(sock, thread)]
            thread.start()

    def _answer(self, request: Request) -> Raw:
        request = _redacted(request) if self._redact else request
        kind = request.kind
        with self._lock:    # so that the replies go out in the order of `requests`
            self.requests.append(request)
            self._served[kind] += 1
            serial, queue = self._served[kind], self._script[kind]
            scripted = queue.popleft() if queue else None
        return (scripted or self._unscripted(request, serial)).render(request, serial)

    def _unscripted(self, request: Request, serial: int) -> Answer:
        for service in self.services:
            answer = service(request)
            if answer is not None:
                return answer
        if request.kind != "generate":
            body = _built_in(request, serial)
            return body if isinstance(body, Answer) else _json_answer(body)
        if self._default is None:
            return Error(400, f"FakeGemini has no reply left for {request.method} {request.path}: "
                              "script one more with reply(), error() or raw(), or give FakeGemini a default")
        try:
            given = self._default(request)
            if isinstance(given, Answer):
                return given
            return Reply(given) if isinstance(given, (str, dict)) else Reply(*given)
        except Exception as error:    # the test's own code: its failure belongs to the test, see __exit__
            self._failures.append(error)
            return Error(400, f"FakeGemini's default raised {error!r}")
