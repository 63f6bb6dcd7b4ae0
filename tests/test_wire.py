"""What goes over the wire is what Google's own client, google-genai 3.4.0, was recorded to send."""
import base64
import json
import pathlib
import re

import pytest

from gemini_lite import DeveloperAPI, GeminiClient
from gemini_lite.testing import FakeGemini

RECORDED = {case["case"]: case["requests"][0] for case in json.loads(
    pathlib.Path(__file__).with_name("wire").joinpath("google-genai-3.4.0.json").read_text("utf-8"))["cases"]}
FLASH = "gemini-2.5-flash"
SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
          "required": ["name"]}
IMAGE = base64.b64decode("iVBORw0KGgoAAQIDBAUGBwgJCgsMDQ4P")


def ask(prompt, **options):
    return lambda client: client.generate(prompt, **{"model": FLASH, **options})


CASES = {
    "text": ask("hi"),
    "list_of_text": ask(["a", "b"]),
    "system_and_sampling": ask(
        "hi", system_prompt="be brief", temperature=0.3, top_p=0.9, top_k=20, max_output_tokens=128,
        stop_sequences=["END"], seed=7, candidate_count=1, presence_penalty=0.1, frequency_penalty=0.2),
    "thinking_budget": ask("hi", thinking_budget=1024, include_thoughts=True),
    "thinking_level": ask("hi", model="gemini-3-pro-preview", thinking_level="low", include_thoughts=True),
    "inline_image": ask(["what is this?", (IMAGE, "image/png")]),
    "file_uri": ask([{"fileData": {"fileUri": "https://example.com/a.pdf", "mimeType": "application/pdf"}}, "sum up"]),
    "function_declaration": ask(
        "weather?",
        tools=[{"functionDeclarations": [{"name": "get_weather", "description": "d", "parametersJsonSchema": SCHEMA}]}],
        tool_config={"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["get_weather"]}}),
    "google_search": ask("news", tools=[{"googleSearch": {}}]),
    "url_context": ask("read", tools=[{"urlContext": {}}]),
    "json_schema": ask("x", response_schema=SCHEMA),
    "stream": lambda client: client.stream("hi", model=FLASH).response,
    "count_tokens": lambda client: client.count_tokens("hi", model=FLASH),
    "cached_content": ask("x", cached_content="cachedContents/abc"),
    "image_output": ask("a cat", model="gemini-2.5-flash-image",
                        extra={"generationConfig": {"responseModalities": ["TEXT", "IMAGE"]}}),
}


def request_of(call):
    """The one request that `call(client)` sends."""
    with FakeGemini(default=lambda request: "ok") as fake:
        backend = DeveloperAPI("test-key", base_url=fake.url, api_version="v1")
        with GeminiClient(backend=backend) as client:
            call(client)
    request, = fake.requests
    return request


def camel_case(value):
    """`value` with the names in it as the API's documentation writes them."""
    if isinstance(value, dict):
        return {re.sub("_([a-z])", lambda match: match.group(1).upper(), key): camel_case(item)
                for key, item in value.items()}
    return [camel_case(item) for item in value] if isinstance(value, list) else value


def normal(body):
    """`body` without what means the same with and without."""
    body = camel_case(body)
    if body.get("generationConfig") == {}:
        del body["generationConfig"]
    return body


@pytest.mark.parametrize("case", sorted(CASES))
def test_our_requests_are_those_of_googles_own_client(case):
    ours, recorded = request_of(CASES[case]), RECORDED[case]
    assert (ours.method, ours.path) == (recorded["method"], recorded["path"])
    assert ours.body == normal(recorded["body"])
    assert ours.headers.keys() >= recorded["headers"].keys() - {"accept"}
    assert ours.headers["x-goog-api-key"] == recorded["headers"]["x-goog-api-key"]


def test_models_are_listed_where_googles_own_client_lists_them():
    ours, recorded = request_of(lambda client: client.models()), RECORDED["list_models"]
    assert (ours.method, ours.path.split("?")[0]) == (recorded["method"], recorded["path"].split("?")[0])
    assert ours.headers.keys() >= recorded["headers"].keys() - {"accept"}


def test_every_recorded_case_is_compared_but_these():
    assert set(RECORDED) - set(CASES) == {"list_models", "get_model", "python_function_tool"}
