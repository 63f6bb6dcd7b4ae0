"""The names, signatures and errors that others build on; what changes here is a change for everybody."""
import inspect
import json
import os
import pathlib
import pickle
import re
import subprocess
import sys

import pytest

import gemini_lite
from gemini_lite import GenerateContentResponse, testing
from gemini_lite.errors import Quota

PACKAGE = pathlib.Path(gemini_lite.__file__).parent
NAMES = [
    "APIError", "AuthenticationError", "BadRequestError", "Batch", "BlockedError", "Cache", "Chat", "CodeAssist",
    "ConversationBusyError", "CredentialsError", "DeveloperAPI", "Embeddings", "File", "GeminiClient", "GeminiError",
    "GeminiOptions", "GenerateContentResponse", "IncompleteError", "Interaction", "JobFailedError", "NotFoundError",
    "OAuthCredentials", "OverloadedError", "ParseError", "PermissionDeniedError", "QuotaExhaustedError",
    "RateLimitError", "Recipe", "Result", "ServerError", "Stream", "StreamChunk", "Tool", "ToolResultError",
    "TransportError", "TransportTimeout", "UploadState", "VertexAI", "query", "read_results",
]
ERRORS = {
    "GeminiError": "Exception", "CredentialsError": "GeminiError", "ConversationBusyError": "GeminiError",
    "TransportError": "GeminiError", "TransportTimeout": "TransportError", "APIError": "GeminiError",
    "BadRequestError": "APIError", "AuthenticationError": "APIError", "PermissionDeniedError": "APIError",
    "NotFoundError": "APIError", "RateLimitError": "APIError", "QuotaExhaustedError": "RateLimitError",
    "ServerError": "APIError", "OverloadedError": "ServerError", "BlockedError": "GeminiError",
    "IncompleteError": "GeminiError", "ParseError": "GeminiError", "JobFailedError": "GeminiError",
    "ToolResultError": "GeminiError",
}
SIGNATURES = {
    "GeminiClient": "(options=None, credentials_path=None, *, api_key=None, backend=None, timeout=(10, 300), "
                    "retries=4, max_wait=60, deadline=None, session=None, max_event_bytes=67108864, "
                    "max_body_bytes=1073741824, max_error_bytes=1048576, **overrides)",
    "GeminiClient.generate": "(self, prompt, **overrides)",
    "GeminiClient.stream": "(self, prompt, **overrides)",
    "GeminiClient.send_message": "(self, prompt, **overrides)",
    "GeminiClient.send_message_stream": "(self, prompt, **overrides)",
    "GeminiClient.clear_history": "(self)",
    "GeminiClient.chat": "(self, history=None, **overrides)",
    "GeminiClient.count_tokens": "(self, prompt, **overrides)",
    "GeminiClient.map": "(self, prompts, *, concurrency=64, ordered=True, requests_per_minute=None, max_errors=None, "
                        "progress=None, **overrides)",
    "GeminiClient.map_to": "(self, path, prompts, *, resume=True, retry_errors='transient', fsync_every=1.0, "
                           "on_crash='resend', concurrency=64, requests_per_minute=None, max_errors=None, "
                           "progress=None, **overrides)",
    "Recipe": "(options=None, *, backend=None, key_env=None, key_file=None, key_function=None, concurrency=32)",
    "Recipe.map": "(self, prompts, *, executor, chunk=100, ahead=None)",
    "Recipe.column": "(self, name, *, into, error=None)",
    "read_results": "(path, *, response_schema=None)",
    "GeminiClient.models": "(self)",
    "GeminiClient.quota": "(self)",
    "GeminiClient.close": "(self)",
    "GeminiClient.embed": "(self, prompts, *, model=None, task_type=None, title=None, output_dimensionality=None, "
                          "normalize=False, concurrency=1, deadline=None)",
    "UploadState.save": "(self, path)",
    "UploadState.load": "(path)",
    "Chat.send_tool_result": "(self, name, response, id=None, **overrides)",
    "Chat.send_tool_result_stream": "(self, name, response, id=None, **overrides)",
    "Chat.send_tool_results": "(self, results, **overrides)",
    "Chat.send_tool_results_stream": "(self, results, **overrides)",
    "Chat.send_message": "(self, prompt, **overrides)",
    "Chat.send_message_stream": "(self, prompt, **overrides)",
    "Chat.clear_history": "(self)",
    "Stream.close": "(self)",
    "DeveloperAPI": "(api_key=None, *, base_url=None, api_version='v1beta')",
    "VertexAI": "(project=None, location=None, credentials=None, *, api_key=None, base_url=None, "
                "api_version='v1beta1')",
    "query": "(prompt, model=None, credentials_path=None, *, api_key=None, backend=None, **overrides)",
    "GeminiOptions": "(model=None, system_prompt=None, temperature=None, top_p=None, top_k=None, "
                     "max_output_tokens=None, stop_sequences=None, seed=None, candidate_count=None, "
                     "presence_penalty=None, frequency_penalty=None, thinking_budget=None, thinking_level=None, "
                     "include_thoughts=None, response_mime_type=None, response_schema=None, tools=None, "
                     "tool_choice=None, tool_config=None, max_tool_rounds=10, parallel_tools=False, "
                     "fill_missing_signatures=False, safety_settings=None, labels=None, cached_content=None, "
                     "session_id=None, response_modalities=None, media_resolution=None, speech_config=None, "
                     "image_config=None, response_logprobs=None, logprobs=None, extra=None)",
    "GeminiOptions.replace": "(self, **changes)",
    "Tool": "(name, description='', parameters=None, function=None)",
    "GeminiError": "(message='', *, code=None, status=None, reason=None, details=(), retryable=False, "
                   "retry_after=None, request_id=None, response=None, turns=None, quota=None)",
    "FakeGemini": "(default=None, *, redact=False, strict=None)",
    "FakeGemini.reply": "(self, *items, delay=None, cut=False, **fields)",
    "FakeGemini.call": "(name, args, id=None, signature=None)",
    "FakeGemini.error": "(self, code, message='', status=None, details=(), headers=None, *, reason=None, times=1)",
    "FakeGemini.raw": "(self, *pieces, status=200, headers=None, cut=False, delay=0)",
}


def named(path):
    """The public object that `path` names."""
    first, *rest = path.split(".")
    found = getattr(testing if first == "FakeGemini" else gemini_lite, first)
    for name in rest:
        found = getattr(found, name)
    return found


def test_these_names_are_public():
    assert sorted(gemini_lite.__all__, key=str.lower) == sorted(NAMES, key=str.lower)
    assert all(hasattr(gemini_lite, name) for name in NAMES)


@pytest.mark.parametrize("path", sorted(SIGNATURES))
def test_signatures_stay_as_they_are(path):
    signature = inspect.signature(named(path))
    bare = [parameter.replace(annotation=parameter.empty) for parameter in signature.parameters.values()]
    assert str(signature.replace(parameters=bare, return_annotation=signature.empty)) == SIGNATURES[path]


def test_a_client_is_a_conversation_too():
    assert issubclass(gemini_lite.GeminiClient, gemini_lite.Chat)


def test_the_errors_form_this_tree():
    found = {name: named(name).__base__.__name__ for name in NAMES
             if isinstance(named(name), type) and issubclass(named(name), Exception)}
    assert found == ERRORS


@pytest.mark.parametrize("name", sorted(ERRORS))
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_every_error_is_pickled_with_all_its_fields(name, protocol):
    fields = {
        "code": 429, "status": "RESOURCE_EXHAUSTED", "reason": "WHY", "details": [{"@type": "x", "a": [1]}],
        "retryable": True, "retry_after": 1.5, "request_id": "id",
        "turns": [{"role": "user", "parts": [{"text": "a"}]}], "quota": Quota("PerDay", 20, "requests per day"),
    }
    error = named(name)("no luck", response=GenerateContentResponse({"responseId": "r"}), **fields)
    twin = pickle.loads(pickle.dumps(error, protocol))
    assert type(twin) is type(error) and str(twin) == "no luck"
    assert twin.response.data == {"responseId": "r"}
    assert {key: value for key, value in vars(twin).items() if key != "response"} == fields


def test_there_is_one_version_number_and_it_is_a_literal():
    sources = [*PACKAGE.glob("*.py"), *pathlib.Path(__file__).parent.parent.glob("setup.*")]
    literals = [path.name for path in sources for _ in re.findall(re.escape(gemini_lite.__version__),
                                                                  path.read_text("utf-8"))]
    assert len(literals) == 1, literals
    assert re.fullmatch(r"\d+\.\d+\.\d+([ab]\d+|rc\d+|\.dev\d+)?", gemini_lite.__version__)


IMPORTING = """
import json, os, sys, threading
home, touched = os.path.expanduser("~"), []
REACHES_OUT = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "subprocess.Popen")

def hook(event, arguments):
    if event in REACHES_OUT or event == "open" and str(arguments[0]).startswith(home):
        touched.append(event + repr(arguments))

sys.addaudithook(hook)
import gemini_lite
print(json.dumps([touched, sorted(sys.modules), threading.active_count()]))
"""


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """What importing the package touches, the modules it brings, and the threads there are then."""
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent), "HOME": str(tmp_path_factory.mktemp("home"))}
    run = subprocess.run([sys.executable, "-c", IMPORTING], env=environment, stdout=subprocess.PIPE, check=True)
    return json.loads(run.stdout)


def test_importing_reaches_no_network_reads_no_files_of_the_user_and_starts_nothing(imported):
    touched, _, threads = imported
    assert (touched, threads) == ([], 1)


@pytest.mark.parametrize("name", [
    "gemini_lite.many", "gemini_lite.api", "gemini_lite.tools", "gemini_lite.schema", "gemini_lite.media",
    "gemini_lite.display", "gemini_lite.answers.citations", "gemini_lite.answers.streamed_calls",
    "gemini_lite.options.overrides", "concurrent.futures",
    "asyncio", "gemini_lite.testing", "gemini_lite.cli", "gemini_lite.openai_compat", "http.server", "pydantic", "PIL",
    "IPython", "tqdm", "numpy",
])
def test_importing_does_not_bring(imported, name):
    assert name not in imported[1]


@pytest.mark.parametrize("name", ["demo", "media", "openai_compat", "testing"])
def test_a_public_room_is_reached_without_an_import_of_its_own(name):
    code = f"import gemini_lite; assert {name!r} in dir(gemini_lite); print(gemini_lite.{name}.__name__)"
    run = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True,
                         env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)})
    assert run.stdout.decode().strip() == f"gemini_lite.{name}"


def test_every_public_member_has_a_docstring():
    missing = []
    for name in gemini_lite.__all__:
        value = getattr(gemini_lite, name)
        if not inspect.getdoc(value):
            missing.append(name)
        for member, inner in vars(value).items() if isinstance(value, type) else ():
            if member.startswith("_") or not (inspect.isroutine(inner) or isinstance(inner, property)):
                continue
            if not inspect.getdoc(inner):
                missing.append(f"{name}.{member}")
    assert missing == []
