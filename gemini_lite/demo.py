"""A stand-in for Gemini that answers anything, to try a program without an account.

    python -m gemini_lite.demo COMMAND ARGUMENT...

runs a command with such a server on 127.0.0.1 in place of Gemini. Its answers are made up, in the form that was asked
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
from typing import Any, Dict, List, Optional

from . import media
from .json_data import JSON, dict_or_empty, list_of_dicts
from .testing.server import FakeGemini, Item, Reply, Request, call
from .testing.services import api_services

DELAY = 0.02  # seconds between two words
_OTHER_SIGN_INS = ("GOOGLE_API_KEY", "GOOGLE_GENAI_USE_GCA")  # variables that would send a command to Gemini itself
_ANSWER_TEXT = """\
You said: {prompt}

I am not a model. I am a small server that gemini-lite has just started on this machine, and this text came to you \
word by word as server-sent events, the way an answer of Gemini does.

To talk to Gemini itself, get an API key at https://aistudio.google.com/apikey, put it in GEMINI_API_KEY, and leave \
the demo out.
"""


def demo() -> FakeGemini:
    """A server that answers every request, to be used in a ``with`` block."""
    server = FakeGemini(reply)
    server.services += api_services()
    return server


def reply(request: Request) -> Reply:
    """An answer in the form that the request asks for."""
    body = dict_or_empty(request.body.get("request")) if request.code_assist else request.body
    config = dict_or_empty(body.get("generationConfig"))
    items: List[Item] = []
    if dict_or_empty(config.get("thinkingConfig")).get("includeThoughts"):
        items.append({"text": "A thought would stand here. ", "thought": True})
    items += _answer_items(body, config.get("responseJsonSchema"))
    modalities = config.get("responseModalities") or ["IMAGE"] * ("image" in request.model)
    if "IMAGE" in modalities:
        items.append(media.from_bytes(picture(), "image/png"))
    if "AUDIO" in modalities:
        items.append(media.from_bytes(sound(), "audio/L16;rate=24000"))
    answer = Reply(*items)
    answer.delay = DELAY
    return answer


def _answer_items(body: JSON, schema: object) -> List[Item]:
    """The results of functions repeated, else a call of the first function, JSON for `schema`, or the prompt repeated.
    """
    last_turn = list_of_dicts(body.get("contents"))[-1]
    parts = list_of_dicts(last_turn.get("parts"))
    results = [part["functionResponse"] for part in parts if "functionResponse" in part]
    functions = [function for tool in list_of_dicts(body.get("tools"))
                 for function in list_of_dicts(tool.get("functionDeclarations"))]
    if results:
        return [*_split_words("".join(f"{result['name']} gave me {json.dumps(result['response'])}. "
                                      for result in results))]
    if functions:
        return [call(functions[0]["name"], sample(functions[0].get("parametersJsonSchema") or {}))]
    if schema is not None:
        return [*re.findall(r"[^,]+,?", json.dumps(sample(schema)))]
    prompt = _shorten(" ".join(part.get("text", "(a file)") for part in parts))
    return [*_split_words(_ANSWER_TEXT.replace("{prompt}", prompt))]


def sample(schema: object, root: Optional[JSON] = None, depth: int = 0) -> Any:
    """A small value that fits a JSON Schema of the usual kind.

    `root` is the schema that has the ``$defs``, by default `schema` itself; `depth` counts the references that lead
    here. From the second on a type may contain itself: lists are empty and what may be null is null, or the value
    would have no end.
    """
    schema = dict_or_empty(schema)
    root = schema if root is None else root
    for keyword in ("const", "default"):
        if keyword in schema:
            return schema[keyword]
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        return sample(dict_or_empty(root.get("$defs")).get(name), root, depth + 1)
    for keyword in ("anyOf", "oneOf", "allOf"):
        choices = list_of_dicts(schema.get(keyword))
        if choices:
            null = {"type": "null"}
            return None if depth > 1 and null in choices else sample(choices[0], root, depth)
    if schema.get("enum"):
        return schema["enum"][0]
    return _sample_of_type(schema, root, depth)


def _sample_of_type(schema: JSON, root: JSON, depth: int) -> Any:
    """`sample` for a schema with a ``type``, or with properties alone."""
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        required = schema.get("required", ())
        properties = dict_or_empty(schema.get("properties"))
        return {name: sample(inner, root, depth) for name, inner in properties.items() if name in required}
    if kind == "array":
        count = max(int(depth < 2), schema.get("minItems", 0))
        return [sample(item, root, depth) for item in list_of_dicts(schema.get("prefixItems"))] \
            or [sample(schema.get("items"), root, depth) for _ in range(count)]
    number = schema.get("minimum", 1)
    return {"integer": number, "number": number, "boolean": True, "null": None}.get(kind, "demo")


def picture(size: int = 96) -> bytes:
    """A PNG of a coloured square, `size` pixels wide and high."""
    rows = b"".join(b"\0" + b"".join(bytes((255 * x // size, 255 * y // size, 160)) for x in range(size))
                    for y in range(size))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">2I5B", size, size, 8, 2, 0, 0, 0)) \
        + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def sound(seconds: float = 0.5, rate: int = 24000) -> bytes:
    """A tone of 440 Hz: 16-bit samples, little-endian, `rate` of them a second."""
    return b"".join(struct.pack("<h", int(8000 * math.sin(2 * math.pi * 440 * n / rate)))
                    for n in range(int(seconds * rate)))


def main(command: List[str]) -> int:
    """Run `command` with the stand-in as its Gemini, and return its exit code; a signal's is 128 and its number."""
    if not command:
        print("usage: python -m gemini_lite.demo COMMAND ARGUMENT...", file=sys.stderr)
        return 2
    with demo() as server:
        environment = {name: value for name, value in os.environ.items() if name not in _OTHER_SIGN_INS}
        environment.update(GEMINI_API_KEY="demo", GOOGLE_GEMINI_BASE_URL=server.url)
        print("demo: a stand-in on 127.0.0.1 answers in place of Gemini; there is no model behind it", file=sys.stderr)
        try:
            code = _run_command(command, environment)
        except OSError as error:
            print(f"demo: {command[0]} cannot be run: {error.strerror}", file=sys.stderr)
            return 127
        return code if code >= 0 else 128 - code


def _run_command(command: List[str], environment: Dict[str, str]) -> int:
    """The return code of `command`, negative for a signal; SIGTERM is passed on to it."""
    processes: List[subprocess.Popen[bytes]] = []  # empty while the signal handlers are set and it does not run yet

    def terminate(*_: object) -> None:
        for process in processes:
            process.terminate()

    signal.signal(signal.SIGINT, lambda *_: None)  # a terminal sends Ctrl-C to the command too, which decides
    signal.signal(signal.SIGTERM, terminate)
    processes.append(subprocess.Popen(command, env=environment))
    return processes[0].wait()


def _split_words(text: str) -> List[str]:
    """The words of `text`, each with the blanks after it."""
    return re.findall(r"\S+\s*", text)


def _shorten(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}..."


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
