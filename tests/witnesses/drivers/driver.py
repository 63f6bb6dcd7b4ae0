"""What the drivers of the Python clients share.

``python DRIVER URL FEATURE`` prints, as the last line and in JSON, what the client got from the server at URL; null if
the client has no such feature. Each driver runs in an environment that has its client and not ours.
"""
from __future__ import annotations

import inspect
import json
import socket
import sys
from typing import Any, Callable, Dict, List

MODEL, EMBEDDING_MODEL, PROMPT, KEY = "gemini-3-flash-preview", "gemini-embedding-001", "Hello you", "test-key"
TEXTS = ["one", "two"]    # to embed
KEPT_FILE = "https://generativelanguage.googleapis.com/v1beta/files/kept"    # what the test put there before
KEPT_CACHE = "cachedContents/fake1"
URL = sys.argv[1]
SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
          "required": ["name", "age"]}
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
              "required": ["city", "days"]}
CALLS: List[Dict[str, object]] = []    # the arguments with which the model called the tool
_getaddrinfo = socket.getaddrinfo


def weather(city: str, days: int) -> str:
    """The weather in a city for some days."""
    CALLS.append({"city": city, "days": days})
    return f"sun in {city} for {days} days"


def error(caught: BaseException, status: object, message: object = None) -> Dict[str, object]:
    """What a client says about an error of the server's."""
    return {"class": type(caught).__name__, "status": status, "message": str(message or caught)}


def cut(pieces: Any) -> Dict[str, object]:
    """The text that came before a stream broke off, and the class of what was raised then, None for nothing."""
    found: List[str] = []
    try:
        for piece in pieces:
            found.append(piece)
    except Exception as caught:
        return {"text": "".join(found), "error": type(caught).__name__}
    return {"text": "".join(found), "error": None}


async def cut_async(pieces: Any) -> Dict[str, object]:
    """The same for a client for asyncio."""
    found: List[str] = []
    try:
        async for piece in pieces:
            found.append(piece)
    except Exception as caught:
        return {"text": "".join(found), "error": type(caught).__name__}
    return {"text": "".join(found), "error": None}


def run(**features: Callable[[], Any]) -> None:
    """Run the feature that the command line names."""
    name = sys.argv[2]
    found = features[name]() if name in features else None
    if inspect.iscoroutine(found):
        import asyncio
        found = asyncio.run(found)
    print(json.dumps(found))


def redirect(client_class: Any) -> None:
    """Have a class of httpx clients send to the stand-in whatever it was to send to Google's fixed address."""
    import httpx
    send = client_class.send

    def to_the_stand_in(self: Any, request: Any, **options: Any) -> Any:
        here = httpx.URL(URL)
        request.url = request.url.copy_with(scheme=here.scheme, host=here.host, port=here.port)
        request.headers["host"] = f"{here.host}:{here.port}"
        return send(self, request, **options)

    client_class.send = to_the_stand_in


def _loopback(host: Any, *args: Any, **named: Any) -> Any:
    """No client asks anybody else: not for prices, tokenizers or newer versions of itself."""
    if host not in ("127.0.0.1", b"127.0.0.1", "localhost", None):
        raise socket.gaierror(f"no name is looked up here, and {host!r} neither")
    return _getaddrinfo(host, *args, **named)


socket.getaddrinfo = _loopback
