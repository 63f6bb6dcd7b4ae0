"""A stand-in for Gemini that answers anything, to try a program without an account.

    python -m gemini_lite.demo COMMAND ARGUMENT...

runs a command with such a server on 127.0.0.1 in place of Gemini. What it says is made up, in the form that was asked
for: text word by word, thoughts, JSON that fits a schema, a call of the first function, a picture, a sound.
"""
from __future__ import annotations

import json
import math
import os
import re
import signal
import struct
import subprocess
import sys
import zlib
from typing import Any, List

from . import media
from .json_data import dict_or_empty, list_of_dicts
from .testing.server import FakeGemini, Reply, Request, call

DELAY = 0.02  # seconds between two words
_SIGN_IN = ("GOOGLE_API_KEY", "GOOGLE_GENAI_USE_GCA")  # what would lead a command elsewhere
_TEXT = """\
You said: %s

I am not a model. I am a small server that gemini-lite has just started on this machine, and this text came to you \
word by word as server-sent events, the way an answer of Gemini does.

To talk to Gemini itself, get an API key at https://aistudio.google.com/apikey, put it in GEMINI_API_KEY, and leave \
the demo out.
"""


def demo() -> FakeGemini:
    """A server that answers every request, to be used in a ``with`` block."""
    return FakeGemini(reply)


def reply(request: Request) -> Reply:
    """An answer in the form that the request asks for."""
    asked = request.body if not request.code_assist else dict_or_empty(request.body.get("request"))
    config = dict_or_empty(asked.get("generationConfig"))
    last = list_of_dicts(dict_or_empty(list_of_dicts(asked.get("contents"))[-1]).get("parts"))
    results = [part["functionResponse"] for part in last if "functionResponse" in part]
    functions = [function for tool in list_of_dicts(asked.get("tools"))
                 for function in list_of_dicts(tool.get("functionDeclarations"))]
    schema = config.get("responseJsonSchema")
    items: List[Any] = []
    if dict_or_empty(config.get("thinkingConfig")).get("includeThoughts"):
        items.append({"text": "A thought would stand here. ", "thought": True})
    if results:
        items += _words("".join(f"{result['name']} gave me {json.dumps(result['response'])}. "
                                for result in results))
    elif functions:
        items.append(call(functions[0]["name"], sample(functions[0].get("parametersJsonSchema") or {})))
    elif schema is not None:
        items += re.findall(r"[^,]+,?", json.dumps(sample(schema)))
    else:
        items += _words(_TEXT % _shortened(" ".join(part.get("text", "(a file)") for part in last)))
    wanted = config.get("responseModalities") or ["IMAGE"] * ("image" in request.model)
    items += [media.from_bytes(picture(), "image/png")] * ("IMAGE" in wanted)
    items += [media.from_bytes(sound(), "audio/L16;rate=24000")] * ("AUDIO" in wanted)
    answer = Reply(*items)
    answer.delay = DELAY
    return answer


def sample(schema: Any, root: Any = None, depth: int = 0) -> Any:
    """A small value that fits a JSON Schema of the usual kind; `depth` is how many references lead to it.

    A reference is to a type that holds itself: below the second, lists are empty, or it would have no end.
    """
    schema, root = dict_or_empty(schema), dict_or_empty(root if root is not None else schema)
    for word in ("const", "default"):
        if word in schema:
            return schema[word]
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        return sample(dict_or_empty(root.get("$defs")).get(name), root, depth + 1)
    for word in ("anyOf", "oneOf", "allOf"):
        choices = list_of_dicts(schema.get(word))
        if choices:
            null = {"type": "null"}
            return None if depth > 1 and null in choices else sample(choices[0], root, depth)
    if schema.get("enum"):
        return schema["enum"][0]
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        wanted = schema.get("required", ())
        properties = dict_or_empty(schema.get("properties"))
        return {name: sample(inner, root, depth) for name, inner in properties.items() if name in wanted}
    if kind == "array":
        return [sample(item, root, depth) for item in list_of_dicts(schema.get("prefixItems"))] \
            or [sample(schema.get("items"), root, depth) for _ in range(max(depth < 2, schema.get("minItems", 0)))]
    number = schema.get("minimum", 1)
    return {"integer": number, "number": number, "boolean": True, "null": None}.get(kind, "demo")


def picture(size: int = 96) -> bytes:
    """A PNG of a coloured square, `size` pixels wide."""
    rows = b"".join(b"\0" + b"".join(bytes((255 * x // size, 255 * y // size, 160)) for x in range(size))
                    for y in range(size))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">2I5B", size, size, 8, 2, 0, 0, 0)) \
        + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def sound(seconds: float = 0.5, rate: int = 24000) -> bytes:
    """16-bit samples of a tone of 440 Hz."""
    return b"".join(struct.pack("<h", int(8000 * math.sin(2 * math.pi * 440 * n / rate)))
                    for n in range(int(seconds * rate)))


def main(command: List[str]) -> int:
    """Run `command` with the stand-in as its Gemini, and return its exit code; a signal's is 128 and its number."""
    if not command:
        print("usage: python -m gemini_lite.demo COMMAND ARGUMENT...", file=sys.stderr)
        return 2
    with demo() as server:
        environment = {name: value for name, value in os.environ.items() if name not in _SIGN_IN}
        environment.update(GEMINI_API_KEY="demo", GOOGLE_GEMINI_BASE_URL=server.url)
        print("demo: a stand-in on 127.0.0.1 answers in place of Gemini; there is no model behind it", file=sys.stderr)
        running: List["subprocess.Popen[bytes]"] = []

        def stop(*args: Any) -> None:
            for process in running:
                process.terminate()

        signal.signal(signal.SIGINT, lambda *args: None)  # Ctrl-C is for the command, which gets it too
        signal.signal(signal.SIGTERM, stop)
        try:
            running.append(subprocess.Popen(command, env=environment))
        except OSError as error:
            print(f"demo: {command[0]} cannot be run: {error.strerror}", file=sys.stderr)
            return 127
        code = running[0].wait()
        return code if code >= 0 else 128 - code


def _words(text: str) -> List[str]:
    return re.findall(r"\S+\s*", text)


def _shortened(words: str) -> str:
    return words if len(words) <= 200 else f"{words[:200]}..."


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
