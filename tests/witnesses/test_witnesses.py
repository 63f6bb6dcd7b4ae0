"""Clients of Gemini as people use them, each of one version, against FakeGemini in strict mode; by hand.

``tox -e witnesses`` installs the clients, each in an environment of its own below the folder that the variable
GEMINI_LITE_WITNESSES names, asks every client for every feature, and writes docs/witnesses.txt.
"""
from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
from typing import Any, Callable, Dict, Iterator, NamedTuple, Optional, Sequence, Tuple

import pytest
from openai_server import serve

from gemini_lite import DeveloperAPI, GeminiClient
from gemini_lite.openai_compat import OpenAIChat
from gemini_lite.testing import Error, FakeGemini, Request
from gemini_lite.testing.camel_case import as_list

if not os.environ.get("GEMINI_LITE_WITNESSES"):
    pytest.skip("tox -e witnesses runs these", allow_module_level=True)

INSTALLED = pathlib.Path(os.environ["GEMINI_LITE_WITNESSES"])
HERE = pathlib.Path(__file__).parent
TABLE = HERE.parents[1] / "docs" / "witnesses.txt"
PROMPT, TEXT = "Hello you", "Hello wörld 🎉"
PERSON, ARGUMENTS = {"name": "Ada", "age": 36}, {"city": "Ulm", "days": 2}


class Client(NamedTuple):
    """How a client is run, what pip or, with an @, npm installs for it, and how it shows an error of the server's."""

    driver: str
    pins: Tuple[str, ...]
    error: Tuple[str, Optional[int]]    # the class and the status, None if it does not tell
    at_openai: bool = False
    tool: str = "weather"


GENAI, OLD_GENAI = "google-genai==3.4.0", "google-genai==2.34.0"
JS, CLI = ("@google/genai==2.32.0",), ("@google/gemini-cli==0.61.0",)
CLIENTS = {
    "google-genai": Client("google_genai_sync.py", (GENAI,), ("ClientError", 400)),
    "google-genai, asyncio": Client("google_genai_async.py", (GENAI,), ("ClientError", 400)),
    "@google/genai": Client("google_genai_js.mjs", JS, ("ApiError", 400)),
    "Gemini CLI, API key": Client("gemini_cli.py", CLI, ("Error", 400), tool="discovered_tool_weather"),
    "Gemini CLI, Code Assist": Client(
        "gemini_cli.py code-assist", CLI, ("Error", 400), tool="discovered_tool_weather"),
    "CodeAssistServer of Gemini CLI": Client(
        "code_assist_server.mjs", (*CLI, "google-auth-library==10.9.1"), ("GaxiosError", 400)),
    "llm": Client("llm_driver.py", ("llm==0.36", "llm-gemini==0.35"), ("ModelError", None)),
    "litellm": Client("litellm_driver.py", ("litellm[mcp]==1.106.2", GENAI), ("BadRequestError", 400)),
    "langchain-google-genai": Client(
        "langchain_google.py", ("langchain-google-genai==4.4.2", OLD_GENAI), ("GoogleInvalidRequestError", None)),
    "pydantic-ai": Client(
        "pydantic_ai_driver.py", ("pydantic-ai-slim[google]==2.68.0", OLD_GENAI), ("ModelRequestRejectedError", 400)),
    "langchain-openai, OpenAIChat": Client(
        "langchain_openai_driver.py", ("langchain-openai==1.7.3", "openai==3.54.0"),
        ("OpenAIInvalidRequestError", 400), at_openai=True),
}
# What a client gets wrong, at any server, and why.
KNOWN = {("CodeAssistServer of Gemini CLI", "broken"):
         "it skips every line that does not begin with data:, and so takes half an answer for a whole one; Gemini CLI "
         "itself misses the finishReason, and asks again"}


# The features: each scripts the server, asks the client, and looks at what came of it.

class Here(NamedTuple):
    """One client at one server."""

    client: Client
    fake: FakeGemini
    ours: GeminiClient
    ask: Callable[..., Any]    # with the name of a feature, if it is another's


def generated(fake: FakeGemini) -> Dict[str, Any]:
    """The last prompt."""
    return [request for request in fake.requests if request.kind == "generate"][-1].prompt


def text(here: Here) -> None:
    here.fake.reply(TEXT[:5], TEXT[5:])
    assert here.ask() == TEXT
    assert PROMPT in str(here.fake.requests[-1].contents)


def stream(here: Here) -> None:
    here.fake.reply(*TEXT)
    pieces = here.ask()
    assert "".join(pieces) == TEXT and len(pieces) > 1
    assert here.fake.requests[-1].streamed


def tools(here: Here) -> None:
    here.fake.reply(FakeGemini.call(here.client.tool, ARGUMENTS, signature="c2ln"))
    here.fake.reply("Sun in Ulm.")
    assert here.ask() == {"calls": [ARGUMENTS], "text": "Sun in Ulm."}
    request = here.fake.requests[-1]
    declared = {function["name"]: function for function in request.functions}[here.client.tool]
    assert ARGUMENTS.keys() <= declared["parametersJsonSchema"]["properties"].keys()
    result = request.contents[-1]["parts"][0]["functionResponse"]
    assert result["name"] == here.client.tool and "Ulm" in str(result["response"])


def as_json(here: Here) -> None:
    here.fake.reply('{"name": "Ada",', ' "age": 36}')
    assert here.ask() == PERSON
    schema = here.fake.requests[-1].response_schema
    assert schema is not None and schema["properties"].keys() == PERSON.keys()


def count(here: Here) -> None:
    assert here.ask() == here.ours.count_tokens(PROMPT)
    assert here.fake.requests[0].kind == "countTokens"


def models(here: Here) -> None:
    assert [name.rpartition("/")[2] for name in here.ask()] == here.fake.models


def errors(here: Here) -> None:
    here.fake.error(400, "no such thing")
    found = here.ask()
    assert (found["class"], found["status"]) == here.client.error and "no such thing" in found["message"]


def cut(here: Here) -> None:
    """The client raises something, whatever it is: it does not take half an answer for a whole one."""
    here.fake.reply("Hel", cut=True)
    found = here.ask()
    assert found["text"] == "Hel" and found["error"]


def broken(here: Here) -> None:
    """The same when the stream ends with an error of Google's."""
    here.fake.reply("Hel", Error(503, "overloaded"))
    found = here.ask("cut")
    assert found["text"] == "Hel" and found["error"]


def embeddings(here: Here) -> None:
    found = here.ask()
    kind = as_list(here.fake.requests[-1].json.get("requests"))[-1].get("taskType")    # some clients name one
    ours = here.ours.embed(["one", "two"], model="gemini-embedding-001", task_type=kind).to_list()
    assert found == [pytest.approx(vector) for vector in ours]


def files(here: Here) -> None:
    """Some clients only list files or name them in prompts: what they do is looked at."""
    kept = here.ours.files.upload(b"kept", mime_type="text/plain", name="kept")
    here.fake.reply(TEXT)
    found = here.ask()
    if "name" in found:
        assert found["size"] == len("hello files") and here.fake.requests[-1].method == "DELETE"
    if "listed" in found:
        assert kept.name in found["listed"] and found.get("name", kept.name) in found["listed"]
    if "answer" in found:
        assert found["answer"] == TEXT and found.get("name", kept.name) in str(generated(here.fake)["contents"])
    else:
        here.ours.generate(PROMPT)    # takes the reply


def caches(here: Here) -> None:
    here.ours.caches.create("A long text.", model="gemini-3-flash-preview")
    here.fake.reply(TEXT)
    found = here.ask()
    asked = generated(here.fake)
    assert found["answer"] == TEXT and asked["cachedContent"] == found.get("name", asked["cachedContent"])
    assert found.get("longer", True) and asked["cachedContent"] in found.get("listed", asked["cachedContent"])


def batches(here: Here) -> None:
    assert here.ask() == ["answer a", "answer b"]


def interactions(here: Here) -> None:
    found = here.ask()
    assert (found["text"], found["again"]) == ("ok", "ok")
    assert (found["events"][0], found["events"][-1]) == ("interaction.created", "interaction.completed")
    assert here.fake.requests[-1].method == "DELETE"


FEATURES: Dict[str, Callable[[Here], None]] = {
    "text": text, "stream": stream, "tools": tools, "JSON": as_json, "count": count, "models": models,
    "errors": errors, "cut": cut, "broken": broken, "embeddings": embeddings, "files": files, "caches": caches,
    "batches": batches, "interactions": interactions}


# The clients, installed

def install(client: Client) -> str:
    """The program that runs the client's driver; made once for each set of versions."""
    shutil.copytree(HERE / "drivers", INSTALLED / "drivers", dirs_exist_ok=True)
    from_npm = client.pins[0].startswith("@")
    folder = INSTALLED / "drivers" if from_npm else INSTALLED / "+".join(client.pins)    # node looks beside a script
    done = folder / "+".join(client.pins).replace("/", " ")
    if not done.exists():
        (install_from_npm if from_npm else install_from_pypi)(folder, client.pins)
        done.touch()
    if from_npm:
        return "node" if client.driver.endswith(".mjs") else sys.executable
    return str(folder / "bin" / "python")


def install_from_npm(folder: pathlib.Path, pins: Sequence[str]) -> None:
    packages = [pin.replace("==", "@") for pin in pins]
    subprocess.run(["npm", "install", "--silent", "--ignore-scripts", "--prefix", folder, *packages], check=True)


def install_from_pypi(folder: pathlib.Path, pins: Sequence[str]) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
    subprocess.run([folder / "bin" / "pip", "install", "-q", *pins], check=True)


@pytest.fixture(scope="module", params=CLIENTS)
def name(request: pytest.FixtureRequest) -> str:
    """A client's name, when the client is installed."""
    install(CLIENTS[request.param])
    return str(request.param)


class ClientHasNone(Exception):
    """The client has no such feature."""


def run(client: Client, url: str, feature: str, home: pathlib.Path) -> Any:
    """What the driver prints."""
    driver, *more = client.driver.split()
    done = subprocess.run(
        [install(client), INSTALLED / "drivers" / driver, url, feature, *more], timeout=120, capture_output=True,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8"})
    assert done.returncode == 0, done.stderr.decode()[-4000:]
    found = json.loads(done.stdout.decode().strip("\n").rpartition("\n")[2])
    if found is None:
        raise ClientHasNone
    return found


def nothing_more(request: Request) -> Error:
    """What a client gets that asks again after a failure."""
    return Error(400, "nothing more is scripted")


@contextlib.contextmanager
def here(client: Client, feature: str, home: pathlib.Path) -> Iterator[Here]:
    with FakeGemini(nothing_more, strict=True) as fake, GeminiClient(
            backend=DeveloperAPI("test-key", base_url=fake.url), model="gemini-3-flash-preview", retries=0,
            fill_missing_signatures=True) as ours:    # clients made for OpenAI's format lose them
        with serve(OpenAIChat(ours)) if client.at_openai else contextlib.nullcontext(fake.url) as url:
            yield Here(client, fake, ours, lambda other=feature: run(client, url, other, home))


# The table

Cells = Dict[Tuple[str, str], str]


@pytest.fixture(scope="module", autouse=True)
def cells() -> Iterator[Cells]:
    """What came of each client and feature; written down when every one was run."""
    cells: Cells = {}
    yield cells
    if len(cells) == len(CLIENTS) * len(FEATURES):
        TABLE.write_text("".join(f"{line}\n" for line in table(cells)), "utf-8")


def table(cells: Cells) -> Iterator[str]:
    yield from (".. Written by tox -e witnesses.", "", ".. csv-table::", "   :header-rows: 1", "")
    yield "   " + ", ".join(["Client", "Version", *FEATURES])
    for name, client in CLIENTS.items():
        yield "   " + ", ".join([f'"{name}"', f'"{versions(name, client)}"', *(cells[name, each] for each in FEATURES)])
    yield ""
    for number, ((name, feature), reason) in enumerate(KNOWN.items(), 1):
        yield f"({number}) {name}, {feature}: {reason}."


def versions(name: str, client: Client) -> str:
    """What is installed; its first name is left out where it is the client's."""
    pins = ", ".join(re.sub(r"\[.*\]", "", pin).replace("==", " ") for pin in client.pins)
    own = name.partition(",")[0] + " "
    return pins[len(own):] if pins.startswith(own) else pins


@pytest.mark.parametrize("feature", FEATURES)
def test_a_client_believes_the_stand_in(name: str, feature: str, cells: Cells, tmp_path: pathlib.Path) -> None:
    cells[name, feature] = "✗"
    try:
        with here(CLIENTS[name], feature, tmp_path) as one:
            FEATURES[feature](one)
    except ClientHasNone:
        cells[name, feature] = "–"
        pytest.skip(f"{name} has no {feature}")
    except AssertionError:
        if (name, feature) in KNOWN:
            cells[name, feature] = f"✗ ({list(KNOWN).index((name, feature)) + 1})"
            pytest.xfail(KNOWN[name, feature])
        raise
    assert (name, feature) not in KNOWN, "it can now: take the line out of KNOWN"
    cells[name, feature] = "✓"
