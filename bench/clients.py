"""The clients that are measured: one class each, which imports its library when it is made.

`venv` is the environment it lives in, `start` the code that imports it and builds a client, to be timed on its own.
Its methods are what `worker` measures; what it lacks is not measured.
"""
from __future__ import annotations

from typing import Any, Callable, Dict, Iterable, Iterator, List

KEY = "not-a-key"
HEADERS = {"Content-Type": "application/json", "x-goog-api-key": KEY}


def conversation(turns: int) -> List[Dict[str, Any]]:
    """`turns` questions and their answers, about a kilobyte each pair."""
    pairs = (({"role": "user", "parts": [{"text": "question %d " % turn + "lorem ipsum " * 20}]},
              {"role": "model", "parts": [{"text": "answer %d " % turn + "lorem ipsum " * 60}]})
             for turn in range(turns))
    return [content for pair in pairs for content in pair]


def text(answer: Dict[str, Any]) -> str:
    return answer["candidates"][0]["content"]["parts"][0]["text"]


def events(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The floor of reading events: the data of lines that begin with "data: ", and nothing else of the standard."""
    pending: List[bytes] = []
    for block in blocks:
        if b"\n" not in block:  # which is asked faster than answered by `split`
            pending.append(block)
            continue
        *lines, rest = block.split(b"\n")
        if pending:
            lines[0] = b"".join((*pending, lines[0]))
            pending = []
        for line in lines:
            if line[:6] == b"data: ":
                yield line[6:]
        if rest:
            pending.append(rest)


class Floor:
    """What a program does without a client library: `post` and `blocks` are left to the two ways of HTTP."""

    def __init__(self, base: str) -> None:
        import json
        self.base, self.loads, self.dumps = base, json.loads, json.dumps
        self.hello = json.dumps({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}).encode()

    def post(self, path: str, body: bytes) -> bytes:
        raise NotImplementedError

    def blocks(self, path: str, body: bytes) -> Iterator[bytes]:
        raise NotImplementedError

    def call(self, model: str) -> str:
        return text(self.loads(self.post("/v1beta/models/%s:generateContent" % model, self.hello)))

    def stream(self, model: str) -> Iterator[str]:
        path = "/v1beta/models/%s:streamGenerateContent?alt=sse" % model
        for data in events(self.blocks(path, self.hello)):
            yield text(self.loads(data))

    def whole(self, model: str) -> str:
        return "".join(list(self.stream(model)))

    def upload(self, data: bytes) -> str:
        from base64 import b64encode
        inline = {"mimeType": "image/png", "data": b64encode(data).decode()}
        body = self.dumps({"contents": [{"role": "user", "parts": [{"text": "hi"}, {"inlineData": inline}]}]}).encode()
        del inline
        return text(self.loads(self.post("/v1beta/models/bench:generateContent", body)))

    def chat(self, turns: int) -> Callable[[], str]:
        history = conversation(turns)

        def send() -> str:
            history.append({"role": "user", "parts": [{"text": "hi"}]})
            body = self.dumps({"contents": history}).encode()
            answer = self.loads(self.post("/v1beta/models/bench:generateContent", body))
            history.append(answer["candidates"][0]["content"])
            return text(answer)
        return send


class HTTPClient(Floor):
    """The standard library's `http.client`, a connection for each thread."""

    venv = "requests"  # of which it imports nothing
    start = "import http.client, json; http.client.HTTPConnection('localhost')"

    def __init__(self, base: str) -> None:
        super().__init__(base)
        import http.client
        import threading
        self.make = lambda: http.client.HTTPConnection(base.rpartition("/")[2], timeout=60)
        self.mine = threading.local()

    def answered(self, path: str, body: bytes) -> Any:
        if not hasattr(self.mine, "connection"):
            self.mine.connection = self.make()
        self.mine.connection.request("POST", path, body, HEADERS)
        return self.mine.connection.getresponse()

    def post(self, path: str, body: bytes) -> bytes:
        return self.answered(path, body).read()

    def blocks(self, path: str, body: bytes) -> Iterator[bytes]:
        response = self.answered(path, body)
        return iter(lambda: response.read1(65536), b"")


class Requests(Floor):
    """A `requests.Session` with a pool that fits 64 threads, and the fastest way to read a stream with it."""

    venv = "requests"
    start = "import requests; requests.Session()"
    pool = 64

    def __init__(self, base: str) -> None:
        super().__init__(base)
        import requests
        import requests.adapters
        self.session = requests.Session()
        self.session.headers.update(HEADERS)
        for scheme in ("http://", "https://"):
            self.session.mount(scheme, requests.adapters.HTTPAdapter(pool_maxsize=self.pool))

    def post(self, path: str, body: bytes) -> bytes:
        response = self.session.post(self.base + path, data=body)
        response.raise_for_status()
        return response.content

    def blocks(self, path: str, body: bytes) -> Iterator[bytes]:
        with self.session.post(self.base + path, data=body, stream=True) as response:
            response.raise_for_status()
            yield from response.raw.stream(65536, decode_content=True)


class PlainRequests(Requests):
    """The same with the pool that requests has of itself."""

    pool = 10


class GoogleGenai:
    """Google's own client."""

    venv = "genai"
    start = "from google import genai; genai.Client(api_key='%s')" % KEY

    def __init__(self, base: str) -> None:
        from google import genai
        self.types = genai.types
        self.client = genai.Client(api_key=KEY, http_options={"base_url": base, "api_version": "v1beta"})

    def call(self, model: str) -> str:
        return self.client.models.generate_content(model=model, contents="hi").text

    def stream(self, model: str) -> Iterator[str]:
        for chunk in self.client.models.generate_content_stream(model=model, contents="hi"):
            yield chunk.text

    def whole(self, model: str) -> str:
        return "".join(list(self.stream(model)))

    def upload(self, data: bytes) -> str:
        part = self.types.Part.from_bytes(data=data, mime_type="image/png")
        return self.client.models.generate_content(model="bench", contents=["hi", part]).text

    def chat(self, turns: int) -> Callable[[], str]:
        history = [self.types.Content.model_validate(content) for content in conversation(turns)]
        chat = self.client.chats.create(model="bench", history=history)
        return lambda: chat.send_message("hi").text


class GeminiLite:
    """This project."""

    venv = "ours"
    start = "import gemini_lite; gemini_lite.GeminiClient(api_key='%s')" % KEY

    def __init__(self, base: str) -> None:
        import gemini_lite
        self.client = gemini_lite.GeminiClient(backend=gemini_lite.DeveloperAPI(KEY, base_url=base), retries=0)

    def call(self, model: str) -> str:
        return self.client.generate("hi", model=model).text

    def stream(self, model: str) -> Iterator[str]:
        for chunk in self.client.stream("hi", model=model):
            yield chunk.text_delta

    def whole(self, model: str) -> str:
        stream = self.client.stream("hi", model=model)
        for chunk in stream:
            chunk.text_delta
        return stream.response.text

    def upload(self, data: bytes) -> str:
        return self.client.generate(["hi", (data, "image/png")], model="bench").text

    def chat(self, turns: int) -> Callable[[], str]:
        chat = self.client.chat(history=conversation(turns), model="bench")
        return lambda: chat.send_message("hi").text


class WithDeadline(GeminiLite):
    """The same, each call with a deadline, which a thread of its own watches."""

    def __init__(self, base: str) -> None:
        import gemini_lite
        self.client = gemini_lite.GeminiClient(backend=gemini_lite.DeveloperAPI(KEY, base_url=base), retries=0,
                                               deadline=30)


CLIENTS: Dict[str, Any] = {
    "gemini_lite": GeminiLite, "gemini_lite, deadline": WithDeadline, "http.client": HTTPClient, "requests": Requests,
    "requests, pool of 10": PlainRequests, "google-genai": GoogleGenai,
}
