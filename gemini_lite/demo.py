"""A stand-in for Gemini that answers anything, to try a program without an account.

    python -m gemini_lite.demo COMMAND ARGUMENT...

runs a command with such a server on 127.0.0.1 in place of Gemini. Its answers are made up, in the form that was asked
for: text word by word, thoughts, JSON that fits a schema, a call of a function, a picture, a sound. A story, a table,
code, a formula or a list is shown when a word of the prompt asks for it.
"""
from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from typing import Any, Dict, Iterator, List, Optional

from . import media
from .auth.api_key import DEMO_KEY
from .json_data import JSON, dict_or_empty, list_of_dicts
from .testing import FakeGemini, Reply, Request, call
from .testing.demo_texts import THOUGHTS, demo_text
from .testing.foreground import NoRequests
from .testing.samples import picture, sample, sound

DELAY = 0.02  # seconds between two words
_OTHER_SIGN_INS = (  # variables that would send a command to Gemini itself
    "GOOGLE_API_KEY", "GOOGLE_GENAI_USE_GCA", "GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_GENAI_USE_ENTERPRISE")
_USAGE = """\
usage: python -m gemini_lite.demo COMMAND ARGUMENT...

Runs the command with a stand-in on 127.0.0.1 in place of Gemini: no model, no account.

examples:
  python -m gemini_lite.demo python script.py
  python -m gemini_lite.demo bash      a shell in which gemini-lite and programs talk to the stand-in"""
_SOURCES = {
    "webSearchQueries": ["gemini-lite demo"],
    "groundingChunks": [{"web": {"title": "example.com", "uri": "https://example.com/"}}],
    "groundingSupports": [{"segment": {"endIndex": 9, "text": "You said:"}, "groundingChunkIndices": [0]}],
}


def demo() -> FakeGemini:
    """A server that answers every request and keeps none, to be used in a ``with`` block."""
    server = FakeGemini(reply, strict=False)
    server.requests = NoRequests()
    return server


@contextlib.contextmanager
def reachable_demo() -> Iterator[FakeGemini]:
    """`demo`, to which this process, and those that it starts meanwhile, go past every proxy of the environment."""
    before = {name: os.environ.get(name) for name in ("no_proxy", "NO_PROXY")}
    hosts = ",".join(filter(None, [before["no_proxy"] or before["NO_PROXY"], "127.0.0.1"]))
    try:
        os.environ.update(no_proxy=hosts, NO_PROXY=hosts)
        with demo() as server:
            yield server
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def reply(request: Request) -> Reply:
    """An answer in the form that the request asks for."""
    config = dict_or_empty(request.prompt.get("generationConfig"))
    items: List[Any] = []
    if dict_or_empty(config.get("thinkingConfig")).get("includeThoughts"):
        items += [{"text": words, "thought": True} for words in _split_words(THOUGHTS)]
    items += _answer_items(request, config)
    modalities = [str(one).upper() for one in config.get("responseModalities") or ()] \
        or ["IMAGE"] * ("image" in request.model) or ["AUDIO"] * ("tts" in request.model)
    if "IMAGE" in modalities:
        items.append(media.from_bytes(picture(), "image/png"))
    if "AUDIO" in modalities:
        items.append(media.from_bytes(sound(), "audio/L16;rate=24000"))
    searched = any(tool.get("googleSearch") is not None for tool in request.tools)
    answer = Reply(*items, groundingMetadata=_SOURCES if searched else None)
    answer.delay = DELAY
    return answer


def _answer_items(request: Request, config: JSON) -> List[Any]:
    """The results of functions repeated, a call of a function, code that ran, JSON for a schema, or a text."""
    turns = request.contents or [{}]
    parts = list_of_dicts(turns[-1].get("parts"))
    prompt = _prompt_text(turns[-1])
    earlier = [_prompt_text(turn) for turn in turns[:-1] if turn.get("role") == "user"]
    results = [dict_or_empty(part["functionResponse"]) for part in parts if part.get("functionResponse") is not None]
    if results:
        return [*_split_words(" ".join(f"{result.get('name')} gave me {json.dumps(result.get('response'))}."
                                       for result in results))]
    function = _choose_function(request, prompt)
    if function is not None:
        arguments = sample(function.get("parametersJsonSchema", {}))
        return [call(str(function.get("name")), arguments if isinstance(arguments, dict) else {})]
    if any(tool.get("codeExecution") is not None for tool in request.tools):
        return [{"executableCode": {"language": "PYTHON", "code": "print(sum(range(101)))"}},
                {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "5050\n"}}, *_split_words("It is 5050.")]
    if request.response_schema is not None:
        value = sample(request.response_schema)
        is_plain = config.get("responseMimeType") == "text/x.enum" and isinstance(value, str)
        return [value] if is_plain else [*re.findall(r"[^,]+,?", json.dumps(value))]
    if config.get("responseMimeType") == "application/json":
        return ['{"answer": ', '"demo"}']
    return [*_split_words(demo_text(prompt, earlier[-1] if earlier else None))]


def _prompt_text(turn: JSON) -> str:
    return " ".join(str(part.get("text", "(a file)")) for part in list_of_dicts(turn.get("parts")))


def _choose_function(request: Request, prompt: str) -> Optional[JSON]:
    """The declaration of the function to call: one that the request or a word of the prompt names, else the first."""
    calling = dict_or_empty(dict_or_empty(request.prompt.get("toolConfig")).get("functionCallingConfig"))
    if str(calling.get("mode", "AUTO")).upper() == "NONE":
        return None
    allowed = calling.get("allowedFunctionNames") or ()
    declared = [function for function in request.functions if not allowed or function.get("name") in allowed]
    asked = set(re.findall(r"[a-z]{3,}", prompt.lower()))
    if not declared:
        return None
    return max(declared, key=lambda function: len(
        asked & set(re.findall(r"[a-z]{3,}", str(function.get("name")).lower()))))


def main(command: List[str]) -> int:
    """Run `command` with the stand-in as its Gemini, and return its exit code; a signal's is 128 and its number."""
    if not command or command[0] in ("-h", "--help"):
        print(_USAGE, file=sys.stdout if command else sys.stderr)
        return 0 if command else 2
    with reachable_demo() as server:
        environment = {name: value for name, value in os.environ.items() if name not in _OTHER_SIGN_INS}
        environment.update(GEMINI_API_KEY=DEMO_KEY, GOOGLE_GEMINI_BASE_URL=server.url)
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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
