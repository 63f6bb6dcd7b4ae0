"""The laws of the stand-in: it answers in every form that a program asks for, and runs a program in front of it."""
from __future__ import annotations

import dataclasses
import enum
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional

import pytest
import requests

import gemini_lite
from gemini_lite import CodeAssist, DeveloperAPI, GeminiClient, Tool, demo


@pytest.fixture(params=["DeveloperAPI", "CodeAssist"])
def client(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[GeminiClient]:
    monkeypatch.setattr(demo, "DELAY", 0)
    with demo.demo() as server:
        backend: Any = DeveloperAPI("demo", base_url=server.url) if request.param == "DeveloperAPI" \
            else CodeAssist(lambda: "token", endpoints=[server.url])
        with GeminiClient(backend=backend) as made:
            yield made


def test_a_prompt_is_repeated_word_by_word(client: GeminiClient) -> None:
    chunks = [chunk.text_delta for chunk in client.stream("Hello there")]
    assert len(chunks) > 50 and "".join(chunks).startswith("You said: Hello there\n\nI am not a model.")
    assert "You said: Look (a file)\n" in client.generate(["Look", (b"x", "image/png")]).text
    assert f"You said: {'x' * 200}...\n" in client.generate("x" * 201).text


def test_in_a_conversation_the_prompt_before_is_repeated_too(client: GeminiClient) -> None:
    client.send_message("Hello {prompt}")
    assert client.send_message("And then?").text.startswith(
        "You said: And then?\n\nBefore that you said: Hello {prompt}\n")


@dataclasses.dataclass
class Tree:
    name: str
    left: Optional[Tree]
    others: List[Tree]


def test_the_sample_of_a_type_that_contains_itself_is_finite(client: GeminiClient) -> None:
    leaf = Tree("demo", None, [])
    assert client.generate("Hi", response_schema=Tree).parsed == Tree("demo", leaf, [leaf])


def test_a_demo_that_runs_for_days_keeps_no_requests() -> None:
    with demo.demo() as server:
        assert requests.get(f"{server.url}/v1beta/models").ok and server.requests == []


def test_thoughts_come_when_they_are_asked_for(client: GeminiClient) -> None:
    answer = client.generate("Hi", include_thoughts=True)
    assert answer.thinking and answer.text.startswith("You said: Hi")
    assert client.generate("Hi").thinking == ""


class Sky(enum.Enum):
    CLEAR = "clear"
    GREY = "grey"


@dataclasses.dataclass
class Day:
    sky: Sky
    degrees: float
    hours: List[int]
    inner: Optional[Day] = None
    words: Dict[str, str] = dataclasses.field(default_factory=dict)


def test_json_fits_the_schema_of_the_request(client: GeminiClient) -> None:
    day = client.generate("Hi", response_schema=Day).parsed
    assert day == Day(Sky.CLEAR, 1, [1])
    assert len(list(client.stream("Hi", response_schema=Day))) > 1


@pytest.mark.parametrize("schema, value", [
    ({}, "demo"), ({"const": 3}, 3), ({"default": [1]}, [1]), ({"type": ["integer", "null"], "minimum": 7}, 7),
    ({"type": "boolean"}, True), ({"type": "null"}, None), ({"anyOf": [{"type": "number"}, {"type": "null"}]}, 1),
    ({"type": "array", "items": {"type": "string"}, "minItems": 2}, ["demo", "demo"]),
    ({"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}]}, ["demo", 1]),
    ({"properties": {"a": {"type": "string"}, "b": {}}, "required": ["a"]}, {"a": "demo"}),
    ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, 0.5),
    ({"type": "integer", "exclusiveMaximum": 1}, 0), ({"type": "integer", "minimum": 0.5, "maximum": 9}, 1),
    ({"type": "integer", "exclusiveMinimum": 3, "multipleOf": 5}, 5), ({"type": "number", "multipleOf": 0.5}, 1),
    ({"type": "number", "minimum": "x", "maximum": None, "multipleOf": 0}, 1),
])
def test_a_sample_fits_its_schema(schema: Any, value: Any) -> None:
    assert demo.sample(schema) == value


def test_the_first_function_is_called_and_its_result_repeated(client: GeminiClient) -> None:
    asked = []

    def weather(city: str, days: int, unit: str = "C") -> str:
        """The weather."""
        asked.append((city, days, unit))
        return "sunny"

    answer = client.chat(tools=[weather, Tool("other", "Another.", {})]).send_message("Hi")
    assert asked == [("demo", 1, "C")]
    assert "weather gave me" in answer.text and "sunny" in answer.text


def test_pictures_and_sound_come_when_they_are_asked_for(client: GeminiClient, tmp_path: Path) -> None:
    answer = client.generate("Hi", extra={"generationConfig": {"responseModalities": ["TEXT", "IMAGE", "AUDIO"]}})
    assert [blob.mime_type for blob in answer.images] == ["image/png"]
    assert answer.images[0].data == demo.picture() and demo.picture().startswith(b"\x89PNG")
    answer.audio[0].save(tmp_path / "tone.wav")
    assert (tmp_path / "tone.wav").stat().st_size == 44 + 24000
    assert client.generate("Hi", model="gemini-2.5-flash-image").images


# The program

def run(*command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    env = {**os.environ, "PYTHONPATH": str(Path(gemini_lite.__file__).parent.parent), **environment}
    return subprocess.run([sys.executable, "-W", "error", "-m", "gemini_lite.demo", *command], env=env,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
                          universal_newlines=True)


ASK = "from gemini_lite import query; print(query('Hi there', model='m').text)"


def test_a_command_runs_with_the_stand_in_as_its_gemini_whoever_is_signed_in() -> None:
    done = run(sys.executable, "-c", ASK, GOOGLE_API_KEY="other", GOOGLE_GENAI_USE_GCA="true",
               GOOGLE_GENAI_USE_VERTEXAI="true", GOOGLE_GENAI_USE_ENTERPRISE="true", GOOGLE_CLOUD_PROJECT="p",
               GOOGLE_GEMINI_BASE_URL="http://127.0.0.1:1")
    assert (done.returncode, done.stdout[:18]) == (0, "You said: Hi there")
    assert done.stderr.count("\n") == 1 and "no model behind it" in done.stderr


DEAD_PROXY = {name: "http://127.0.0.1:1" for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")}


@pytest.mark.parametrize("others", ["", "example.com"])
def test_no_proxy_stands_before_the_stand_in(monkeypatch: pytest.MonkeyPatch, others: str) -> None:
    asked = run(sys.executable, "-c", "import os; " + ASK + "; print(os.environ['NO_PROXY'])", **DEAD_PROXY,
                no_proxy=others, NO_PROXY="")
    assert asked.returncode == 0 and asked.stdout.splitlines()[-1] == f"{others},127.0.0.1".lstrip(",")
    told = run(sys.executable, "-m", "gemini_lite", "--demo", "Hi there", **DEAD_PROXY, no_proxy=others)
    assert (told.returncode, told.stdout[:18]) == (0, "You said: Hi there")
    monkeypatch.setenv("NO_PROXY", others)
    monkeypatch.delenv("no_proxy", raising=False)
    with demo.reachable_demo():
        assert os.environ["no_proxy"].endswith("127.0.0.1")
    assert os.environ["NO_PROXY"] == others and ("no_proxy" in os.environ) == (os.name == "nt")


def test_the_command_s_exit_code_is_passed_on() -> None:
    assert run(sys.executable, "-c", "raise SystemExit(7)").returncode == 7
    assert run().returncode == 2
    assert run("--help").returncode == 0 and "usage: " in run("--help").stdout and "usage: " in run().stderr
    missing = run("no-such-command")
    assert missing.returncode == 127 and "no-such-command cannot be run: No such file" in missing.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="sends signals")
@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("sent, code", [(signal.SIGTERM, 128 + signal.SIGTERM), (signal.SIGINT, 5)])
def test_a_signal_ends_the_command_and_then_the_stand_in(sent: signal.Signals, code: int) -> None:
    # Short sleeps: a signal that comes just before one is seen only after it.
    wait = ("import time\ntry:\n    print('there', flush=True)\n    while True:\n        time.sleep(0.05)\n"
            "except KeyboardInterrupt:\n    raise SystemExit(5)\n")
    env = {**os.environ, "PYTHONPATH": str(Path(gemini_lite.__file__).parent.parent)}
    command = [sys.executable, "-m", "gemini_lite.demo", sys.executable, "-c", wait]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          start_new_session=True) as process:
        assert process.stdout is not None and process.stdout.readline() == b"there\n"
        started = time.monotonic()
        if sent == signal.SIGINT:  # as a terminal does it: to all
            os.killpg(process.pid, sent)
        else:
            process.send_signal(sent)
        assert process.wait(30) == code and time.monotonic() - started < 20


# The forms

@pytest.mark.parametrize("prompt, mark", [
    ("Tell me a story", "# The clerk"), ("Compare the planets in a table", "|:------"),
    ("Write Python code", "```python"),
    ("What is the formula?", "$$"), ("Give me a list", "1. **"), ("The tablet is a storyteller's codec", "You said:"),
])
def test_a_word_of_the_prompt_asks_for_a_form(client: GeminiClient, prompt: str, mark: str) -> None:
    assert mark in client.generate(prompt).text


def test_a_story_takes_long_enough_to_be_watched(client: GeminiClient) -> None:
    assert 6 < 0.02 * sum(1 for _ in client.stream("A story")) < 10


def test_code_search_and_bare_json_are_answered_in_their_form(client: GeminiClient) -> None:
    assert client.generate("Hi", tools=[{"codeExecution": {}}]).code
    assert client.generate("Hi", tools=[{"googleSearch": {}}]).citations[0].uri == "https://example.com/"
    assert json.loads(client.generate("Hi", response_mime_type="application/json").text) == {"answer": "demo"}


def test_the_function_that_the_prompt_names_is_called(client: GeminiClient) -> None:
    tools = [Tool("get_weather", "x", {}), Tool("send_mail", "x", {})]
    assert client.generate("Send a mail", tools=tools).function_calls[0].name == "send_mail"
    assert client.generate("x", tools=tools, tool_choice="send_mail").function_calls[0].name == "send_mail"
    assert not client.generate("Send a mail", tools=tools, tool_choice="none").function_calls


UPPER = {"type": "OBJECT",
         "properties": {"a": {"type": "STRING", "format": "date"},
                        "b": {"type": "ARRAY", "items": {"type": "INTEGER"}, "minItems": "2"},
                        "c": {"any_of": [{"type": "NUMBER"}]}}, "required": ["a", "b", "c"]}
PLAIN = {"type": "object", "properties": {"a": {"type": "string", "format": "date"},
                                          "b": {"type": "array", "items": {"type": "integer"}, "minItems": 2},
                                          "c": {"anyOf": [{"type": "number"}]}}, "required": ["a", "b", "c"]}
FITTING = {"a": "2026-01-31", "b": [1, 1], "c": 1}


@pytest.mark.parametrize("config", [
    {"generationConfig": {"responseSchema": UPPER}}, {"generation_config": {"response_schema": UPPER}},
    {"generationConfig": {"responseJsonSchema": PLAIN}}, {"generationConfig": {"response_json_schema": PLAIN}},
])
def test_a_schema_in_any_spelling_is_fitted(config: Any) -> None:
    answer = asked({**config, "contents": [{"parts": [{"text": "Hi"}]}]})
    assert json.loads("".join(part["text"] for part in answer)) == FITTING


@pytest.mark.parametrize("tools", [
    [{"functionDeclarations": [{"name": "f", "parameters": UPPER}]}],
    [{"function_declarations": [{"name": "f", "parameters": UPPER}]}],
    [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": PLAIN}]}],
    [{"function_declarations": [{"name": "f", "parameters_json_schema": PLAIN}]}],
])
def test_the_arguments_of_a_call_fit_a_declaration_in_any_spelling(tools: Any) -> None:
    assert asked({"tools": tools,
                  "contents": [{"parts": [{"text": "Hi"}]}]}) == [{"functionCall": {"name": "f", "args": FITTING}}]


def test_thoughts_and_enums_in_snake_case_are_understood() -> None:
    body = {"contents": [{"parts": [{"text": "Hi"}]}], "generation_config": {
        "thinking_config": {"include_thoughts": True}, "response_mime_type": "text/x.enum",
        "response_schema": {"type": "STRING", "enum": ["x", "y"]}}}
    parts = asked(body)
    assert parts[0]["thought"] and parts[-1] == {"text": "x"}


@pytest.mark.parametrize("body", [
    {}, {"contents": []}, {"contents": "x"}, {"contents": [{}]},
    {"contents": [{"parts": [{"functionResponse": None}]}]},
    {"tools": [{"functionDeclarations": [{}]}]},
    {"tools": [{"functionDeclarations": [{"parameters": {"type": "STRING"}}]}]},
    {"generationConfig": []}, {"generationConfig": {"responseSchema": {"$ref": "#/$defs/x"}}},
    {"generationConfig": {"responseSchema": {"$ref": "#/$defs/x", "$defs": {"x": {"$ref": "#/$defs/x"}}}}},
])
def test_odd_requests_are_answered(body: Any) -> None:
    asked(body)


def asked(body: Any) -> Any:
    """The parts that the stand-in answers to a request body."""
    with demo.demo() as server:
        url = f"{server.url}/v1beta/models/m:generateContent"
        answer = requests.post(url, json=body, timeout=30).json()
    return answer["candidates"][0].get("content", {}).get("parts", [])


def test_the_stand_in_keeps_files_and_caches_and_embeds() -> None:
    with demo.demo() as server, GeminiClient(backend=DeveloperAPI("demo", base_url=server.url)) as client:
        file = client.files.upload(b"hello", mime_type="text/plain")
        assert client.generate(["?", file]).text
        cache = client.caches.create("A long text.", model="gemini-2.5-flash")
        assert client.generate("?", cached_content=cache).text
        assert len(client.embed(["a", "b"], output_dimensionality=8)) == 2
