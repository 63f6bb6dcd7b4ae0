"""Code Assist: the same wire as Gemini CLI in our own name, the project's discovery, quota, and endpoints in order."""
from __future__ import annotations

import json
import pathlib
import re
import sys
import time
from typing import Any, Callable, Dict, Iterator, List

import pytest

import gemini_lite as g
from gemini_lite.testing import Error, FakeGemini, Raw
from gemini_lite.transport.deadline import Deadline

TOKEN = "fake-" + "token"
WIRE = pathlib.Path(__file__).parent.parent / "wire"
INELIGIBLE = {"reasonCode": "UNSUPPORTED_CLIENT", "reasonMessage": "This client is no longer supported.",
              "tierId": "free-tier", "tierName": "for individuals"}
ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"


@pytest.fixture
def assist(fake: FakeGemini) -> Iterator[Callable[..., g.GeminiClient]]:
    made: List[g.GeminiClient] = []

    def make(*args: Any, retries: int = 4, **settings: Any) -> g.GeminiClient:
        settings.setdefault("endpoints", fake.code_assist_url)
        made.append(g.GeminiClient(*args, backend=g.CodeAssist(lambda: TOKEN, **settings), retries=retries))
        return made[-1]

    yield make
    for client in made:
        client.close()


def recorded(version: str) -> List[Any]:
    cases = json.loads((WIRE / ("gemini-cli-%s.json" % version)).read_text("utf-8"))["cases"]
    return [pytest.param(case, id="%s-%s" % (version, case["case"])) for case in cases]


def made_of(case: Dict[str, Any], client: g.GeminiClient, fake: FakeGemini) -> None:
    """The call of ours for a recorded case."""
    schema = {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
              "required": ["name"]}
    name = case["case"]
    if name in ("count_tokens", "quota", "load_code_assist"):
        client.count_tokens("hi") if name == "count_tokens" else client.quota()
        return
    calls: Dict[str, Any] = {
        "text": ("hi", {}),
        "list_of_text": ([{"role": "user", "parts": [{"text": text}]} for text in "ab"], {}),
        "system_and_sampling": ("hi", dict(
            system_prompt="be brief", temperature=0.3, top_p=0.9, top_k=20, max_output_tokens=128, candidate_count=1,
            stop_sequences=["END"], presence_penalty=0.1, frequency_penalty=0.2, seed=7)),
        "thinking_budget": ("hi", dict(thinking_budget=8192, include_thoughts=True)),
        "tools": ("w", dict(
            tools=[{"name": "get_weather", "description": "d", "parametersJsonSchema": schema}],
            tool_config={"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["get_weather"]}})),
        "inline_image": (["what?", {"inlineData": {"mimeType": "image/png", "data": "iVBORw0K"}}], {}),
    }
    if name == "stream":
        fake.reply("Hel", "lo")
        assert client.stream("hi").response.text == "Hello"
    else:
        prompt, overrides = calls[name]
        fake.reply("Hello")
        client.generate(prompt, **overrides)


@pytest.mark.parametrize("case", recorded("0.31.0") + recorded("0.61.0"))
def test_the_wire_is_that_of_gemini_cli_in_our_own_name(
    case: Dict[str, Any], fake: FakeGemini, assist: Callable[..., g.GeminiClient],
) -> None:
    fake.answer("loadCodeAssist", {"currentTier": {"id": "standard-tier"}, "cloudaicompanionProject": "proj-1"})
    if case["case"] == "count_tokens":
        fake.answer("loadCodeAssist")  # counting needs no project
    client = assist(g.GeminiOptions(session_id="session-1"))
    made_of(case, client, fake)
    if case["case"] == "count_tokens":
        client.quota()  # uses up the scripted project
        fake.requests[-2:] = []
    theirs = case["requests"][0]
    ours = fake.requests[0] if case["case"] == "load_code_assist" else fake.requests[-1]
    body = dict(ours.body)
    if "user_prompt_id" in body:
        assert re.fullmatch("[0-9a-f]{14}", body["user_prompt_id"])
        body["user_prompt_id"] = "p"
    expected = json.loads(json.dumps(theirs["body"]))
    if expected.get("request", {}).get("generationConfig") == {}:
        del expected["request"]["generationConfig"]
    assert (ours.method, ours.path, body) == (theirs["method"], theirs["path"], expected)
    assert set(ours.headers) >= set(theirs["headers"])
    for name in ("accept", "authorization", "content-type"):
        assert ours.headers[name] == theirs["headers"][name].replace("ya29.test", TOKEN)
    assert re.fullmatch(r"gemini-lite/[\d.]+/gemini-2.5-pro \(\w+; \w+\)", ours.headers["user-agent"])
    assert re.fullmatch(r"gl-python/[\d.]+ gemini-lite/[\d.]+", ours.headers["x-goog-api-client"])


def test_platform_and_processor_are_in_nodes_words(fake: FakeGemini, assist: Callable[..., g.GeminiClient]) -> None:
    assist().count_tokens("hi")
    platform, arch = re.findall(r"\((\w+); (\w+)\)", fake.requests[0].headers["user-agent"])[0]
    assert platform == ("win32" if sys.platform == "win32" else re.sub(r"\d+$", "", sys.platform))
    assert arch not in ("x86_64", "AMD64", "aarch64")


def test_a_template_names_the_user_agent_and_foreign_braces_are_refused(
    fake: FakeGemini, assist: Callable[..., g.GeminiClient],
) -> None:
    assist(user_agent="mine/{version} {model} {platform}-{arch}").count_tokens("hi", model="gemini-x")
    assert re.fullmatch(r"mine/[\d.]+ gemini-x \w+-\w+", fake.requests[0].headers["user-agent"])
    for template in ("{", "{who}", "{0}", "two\nlines"):
        with pytest.raises(ValueError, match="user_agent"):
            assist(user_agent=template)


def test_capture_source_travels_in_its_header(
    fake: FakeGemini, assist: Callable[..., g.GeminiClient], monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CAPTURE_SOURCE", "lab")
    assist().count_tokens("hi")
    assert fake.requests[0].headers["x-capture-source"] == "lab"


def test_the_environment_names_endpoint_version_and_project(fake: FakeGemini, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODE_ASSIST_ENDPOINT", fake.code_assist_url + "/")
    monkeypatch.setenv("CODE_ASSIST_API_VERSION", "v2internal")
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT_ID", "second")
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "first")
    fake.answer("loadCodeAssist", {"currentTier": {"id": "standard-tier"}})
    fake.reply("Hello")
    with g.GeminiClient(backend=g.CodeAssist(lambda: TOKEN)) as client:
        client.generate("hi")
    load, call = fake.requests
    assert load.path == "/v2internal:loadCodeAssist"
    assert load.body == {"cloudaicompanionProject": "first", "metadata": {
        "ideType": "IDE_UNSPECIFIED", "platform": "PLATFORM_UNSPECIFIED", "pluginType": "GEMINI",
        "duetProject": "first"}}
    assert call.body["project"] == "first"


@pytest.mark.parametrize("answer, expected", [
    ({"cloudaicompanionProject": "server"}, "server"),
    ({"cloudaicompanionProject": {"id": "server", "name": "x"}}, "server"),
    ({"cloudaicompanionProject": "1234567890"}, "mine"),
    ({"cloudaicompanionProject": None}, "mine"), ({"cloudaicompanionProject": "two\nlines"}, "mine"),
    ({}, "mine"),
])
def test_the_servers_project_comes_before_ours_and_a_number_is_none(
    fake: FakeGemini, assist: Callable[..., g.GeminiClient], answer: Any, expected: str,
) -> None:
    fake.answer("loadCodeAssist", {"currentTier": {"id": "standard-tier"}, **answer})
    fake.reply("Hello")
    assist(project="mine").generate("hi")
    assert fake.requests[-1].body["project"] == expected


def test_the_project_is_asked_for_once(fake: FakeGemini, assist: Callable[..., g.GeminiClient]) -> None:
    client = assist()
    for _ in range(3):
        fake.reply("Hello")
        client.generate("hi")
    assert [request.kind for request in fake.requests].count("loadCodeAssist") == 1


@pytest.mark.parametrize("number", ["681255809", 681255809])
def test_a_project_number_is_refused_before_anything_is_sent(number: Any) -> None:
    with pytest.raises(ValueError, match="project number"):
        g.CodeAssist(lambda: TOKEN, project=number)


def test_behind_vpc_service_controls_the_account_counts_as_licensed(
    fake: FakeGemini, assist: Callable[..., g.GeminiClient],
) -> None:
    details = [{"@type": ERROR_INFO, "reason": "SECURITY_POLICY_VIOLATED", "domain": "googleapis.com"}]
    fake.answer("loadCodeAssist", Error(403, "Request is prohibited", details=details))
    fake.reply("Hello")
    assist(project="mine").generate("hi")
    assert fake.requests[-1].body["project"] == "mine"


@pytest.mark.parametrize("answer, settings, reason, words", [
    ({"ineligibleTiers": [INELIGIBLE]}, {}, "UNSUPPORTED_CLIENT", "no longer supported.*API key"),
    ({"ineligibleTiers": [INELIGIBLE], "allowedTiers": [{"id": "standard-tier", "isDefault": True}]}, {"onboard": True},
     "UNSUPPORTED_CLIENT", "API key"),
    ({"currentTier": {"id": "free-tier"}, "ineligibleTiers": [INELIGIBLE]}, {}, "UNSUPPORTED_CLIENT", "API key"),
    ({"ineligibleTiers": [{"reasonCode": "VALIDATION_REQUIRED", "reasonMessage": "Verify.",
                           "validationUrl": "https://example.com/verify"}]}, {"onboard": True}, "VALIDATION_REQUIRED",
     "https://example.com/verify"),
    ({"ineligibleTiers": [{"reasonCode": "UNSUPPORTED_LOCATION", "reasonMessage": "Not here."}]}, {},
     "UNSUPPORTED_LOCATION", "Not here.*from here"),
    ({"ineligibleTiers": [{"reasonCode": "RESTRICTED_AGE"}]}, {}, "RESTRICTED_AGE", "not eligible"),
    ({"ineligibleTiers": [{"reasonCode": "SOMETHING_NEW", "reasonMessage": "New."}]}, {}, "SOMETHING_NEW", "New."),
    ({"currentTier": {"id": "standard-tier"}}, {}, "PROJECT_REQUIRED", "GOOGLE_CLOUD_PROJECT"),
    ({"allowedTiers": [{"id": "free-tier", "isDefault": True}]}, {}, "NOT_ONBOARDED", "onboard=True"),
    ({}, {}, "NOT_ONBOARDED", "gemini"),
])
def test_an_account_that_cannot_be_used_is_told_why_and_what_to_do(
    fake: FakeGemini, assist: Callable[..., g.GeminiClient], answer: Any, settings: Any, reason: str, words: str,
) -> None:
    fake.answer("loadCodeAssist", answer)
    client = assist(**settings)
    with pytest.raises(g.GeminiError, match="(?s)" + words) as caught:
        client.send_message("hi")
    assert (caught.value.reason, caught.value.retryable) == (reason, False)
    assert client.history == [] and len(fake.requests) == 1


@pytest.mark.parametrize("tier, sends_project", [("free-tier", False), ("standard-tier", True)])
def test_onboarding_waits_for_its_operation_and_sends_no_project_for_the_free_tier(
    fake: FakeGemini, assist: Callable[..., g.GeminiClient], no_sleep: List[float], tier: str, sends_project: bool,
) -> None:
    fake.answer("loadCodeAssist", {"allowedTiers": [{"id": "other"}, {"id": tier, "isDefault": True}]})
    fake.answer("onboardUser", {"name": "operations/op-1"})
    fake.answer("operations", {"name": "operations/op-1", "done": False},
                {"done": True, "response": {"@type": "x", "cloudaicompanionProject": {"id": "given", "name": "n"}}})
    fake.reply("Hello")
    assist(project="mine", onboard=True).generate("hi")
    onboard, poll = fake.requests[1], fake.requests[2]
    assert onboard.body["tierId"] == tier and ("cloudaicompanionProject" in onboard.body) == sends_project
    assert ("duetProject" in onboard.body["metadata"]) == sends_project
    assert (poll.method, poll.path) == ("GET", "/v1internal/operations/op-1")
    assert fake.requests[-1].body["project"] == "given" and no_sleep == [5, 5]


def test_a_failed_onboarding_says_what_the_server_said(
    fake: FakeGemini, assist: Callable[..., g.GeminiClient],
) -> None:
    fake.answer("loadCodeAssist", {})
    failure = {"code": 9, "status": "FAILED_PRECONDITION", "message": "No way"}
    fake.answer("onboardUser", {"done": True, "error": failure})
    with pytest.raises(g.APIError, match="No way"):
        assist(onboard=True).generate("hi")


def test_onboarding_that_never_ends_is_given_up(
    fake: FakeGemini, assist: Callable[..., g.GeminiClient], monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [0.0]
    monkeypatch.setattr("gemini_lite.transport.retry.sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))
    monkeypatch.setattr("gemini_lite.backends.code_assist.monotonic", lambda: clock[0])
    fake.answer("loadCodeAssist", {})
    fake.answer("onboardUser", {"name": "operations/op-1"})
    fake.answer("operations", *[{"name": "operations/op-1"}] * 25)
    with pytest.raises(g.TransportTimeout, match="setting up"):
        assist(onboard=True).generate("hi")
    assert clock[0] <= 130


def test_one_session_for_a_conversation_a_new_one_after_clearing_or_another_model(
    fake: FakeGemini, assist: Callable[..., g.GeminiClient],
) -> None:
    client = assist()

    def session(chat: Any, **overrides: Any) -> str:
        fake.reply("Hello")
        chat.send_message("hi", **overrides)
        return str(fake.requests[-1].body["request"]["session_id"])

    first, same = session(client), session(client)
    assert first == same and re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", first)
    other_model = session(client, model="gemini-2.5-flash")
    client.clear_history()
    assert len({first, other_model, session(client), session(client.chat())}) == 4
    assert session(client.chat(session_id="my-session")) == "my-session"


def test_one_prompt_id_for_a_call_over_its_tries_and_a_new_one_for_the_next(
    fake: FakeGemini, assist: Callable[..., g.GeminiClient], no_sleep: List[float],
) -> None:
    client = assist()
    fake.error(503)
    fake.reply("Hello")
    client.generate("hi")
    fake.reply("Hello")
    client.generate("hi")
    first, again, other = [request.body["user_prompt_id"] for request in fake.requests[1:]]
    assert first == again != other


def test_the_trace_id_is_the_response_id(fake: FakeGemini, assist: Callable[..., g.GeminiClient]) -> None:
    client = assist()
    fake.reply("Hello")
    assert (client.generate("hi").response_id or "").startswith("fake-response")
    fake.reply("Hel", "lo")
    assert (client.stream("hi").response.response_id or "").startswith("fake-response")


def test_counting_sends_no_thoughts_and_an_error_is_never_a_zero(
    fake: FakeGemini, assist: Callable[..., g.GeminiClient],
) -> None:
    client = assist(retries=0)
    thought = {"role": "model", "parts": [{"text": "hm", "thought": True}, {"text": "Hello"}]}
    question = {"role": "user", "parts": [{"text": "?"}]}
    client.count_tokens([question, thought, question])
    assert fake.requests[-1].body["request"]["contents"][1]["parts"] == [{"text": "Hello"}]
    fake.answer("countTokens", {}, Error(500, "broken"))
    with pytest.raises(g.ParseError):
        client.count_tokens("hi")
    with pytest.raises(g.ServerError):
        client.count_tokens("hi")


def test_quota_is_told_model_by_model_as_the_api_describes_it(
    fake: FakeGemini, assist: Callable[..., g.GeminiClient],
) -> None:
    buckets = [
        {"modelId": "gemini-2.5-pro", "remainingFraction": 0.25, "remainingAmount": "12", "tokenType": "REQUESTS",
         "resetTime": "2026-11-21T08:00:00.123456789Z"}, {"modelId": "gemini-2.5-flash"}]
    fake.answer("retrieveUserQuota", {"buckets": [*buckets, None, "x"]})
    assert assist().quota() == buckets


@pytest.mark.parametrize("answer", [{}, {"buckets": None}, {"buckets": {}}, {"buckets": 5}, {"buckets": [None, 5]}])
def test_a_quota_of_another_shape_is_empty(
    fake: FakeGemini, assist: Callable[..., g.GeminiClient], answer: Dict[str, Any],
) -> None:
    fake.answer("retrieveUserQuota", answer)
    assert assist().quota() == []


@pytest.mark.parametrize("state", [
    {"ineligibleTiers": {"a": 1}}, {"ineligibleTiers": 5}, {"ineligibleTiers": [{"reasonCode": ["x"]}]},
    {"allowedTiers": 5}, {"allowedTiers": [{"isDefault": True, "id": {}}]}, {"currentTier": 5},
    {"cloudaicompanionProject": {"id": 5}}, {"cloudaicompanionProject": [], "currentTier": {}},
])
@pytest.mark.parametrize("onboard", [False, True])
def test_a_set_up_of_another_shape_ends_in_a_project_or_one_of_our_errors(
    monkeypatch: pytest.MonkeyPatch, state: Dict[str, Any], onboard: bool,
) -> None:
    class Post:
        deadline = Deadline()

        def __call__(self, path: str, body: Any) -> Dict[str, Any]:
            return state if "load" in path else {"done": True, "response": ["x"]}

    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "my-project")
    backend = g.CodeAssist(lambda: TOKEN, onboard=onboard)
    try:
        body = backend.wrap("generateContent", "m", {"contents": []}, g.GeminiOptions(), "s", Post())
    except g.GeminiError as error:
        assert str(error)
    else:
        assert body["project"] == "my-project"


def test_what_a_backend_has_not_is_said_with_what_there_is(
    fake: FakeGemini, assist: Callable[..., g.GeminiClient], client: Callable[..., g.GeminiClient],
) -> None:
    with pytest.raises(ValueError, match="quota"):
        assist().models()
    with pytest.raises(ValueError, match="Only Code Assist"):
        client(fake).quota()


@pytest.mark.parametrize("failure", [Error(503), Error(500), Raw(cut=True, status=None)])
def test_the_next_endpoint_is_tried_without_waiting_when_one_fails(
    fake: FakeGemini, assist: Callable[..., g.GeminiClient], no_sleep: List[float], failure: Any,
) -> None:
    with FakeGemini(lambda request: failure) as first:
        client = assist(endpoints=[first.code_assist_url, fake.code_assist_url])
        fake.reply("Hel", "lo")
        assert client.stream("hi").response.text == "Hello"
        assert no_sleep == [] and [request.kind for request in first.requests] == ["loadCodeAssist", "generate"]


@pytest.mark.parametrize("code, error", [
    (429, g.RateLimitError), (400, g.BadRequestError), (403, g.PermissionDeniedError)])
def test_a_limit_or_a_refusal_is_not_taken_to_the_next_endpoint(
    fake: FakeGemini, assist: Callable[..., g.GeminiClient], no_sleep: List[float], code: int, error: Any,
) -> None:
    with FakeGemini(lambda request: Error(code, "no")) as first:
        with pytest.raises(error):
            assist(endpoints=[first.code_assist_url, fake.code_assist_url], retries=0).generate("hi")
    assert fake.requests == []


def test_one_sleep_for_a_round_of_endpoints(
    fake: FakeGemini, assist: Callable[..., g.GeminiClient], no_sleep: List[float],
) -> None:
    with FakeGemini(lambda request: Error(503)) as first, FakeGemini(lambda request: Error(503)) as second:
        with pytest.raises(g.OverloadedError):
            assist(endpoints=[first.code_assist_url, second.code_assist_url], retries=2).generate("hi")
        kinds = [[request.kind for request in server.requests].count("generate") for server in (first, second)]
    assert kinds == [3, 3] and len(no_sleep) == 2 and fake.requests == []


def info(reason: str, domain: str = "cloudcode-pa.googleapis.com", **metadata: str) -> Dict[str, Any]:
    return {"@type": ERROR_INFO, "reason": reason, "domain": domain, "metadata": metadata}


@pytest.mark.parametrize("code, message, details, error, words", [
    (403, "Not supported", [info("UNSUPPORTED_CLIENT")], g.PermissionDeniedError, "aistudio"),
    (403, "Suspended", [info("TOS_VIOLATION", appeal_url="https://example.com/appeal")], g.PermissionDeniedError,
     "https://example.com/appeal.*aistudio"),
    (403, "Verify", [info("VALIDATION_REQUIRED", validation_link="https://example.com/v")], g.PermissionDeniedError,
     "Verify your account at https://example.com/v"),
    (403, "Verify", [info("VALIDATION_REQUIRED"), {"@type": "type.googleapis.com/google.rpc.Help", "links": [
        {"description": "Verify", "url": "https://example.com/help"}]}], g.PermissionDeniedError, "example.com/help"),
    (403, "No licence (#3501)", [info("SUBSCRIPTION_REQUIRED", "cloudaicompanion.googleapis.com")],
     g.PermissionDeniedError, "administrator"),
    (403, "You are missing a valid license (#3501)", [], g.PermissionDeniedError, "administrator"),
    (403, "API off", [info("SERVICE_DISABLED", "googleapis.com", activationUrl="https://example.com/on")],
     g.PermissionDeniedError, "https://example.com/on"),
    (404, "Not found", [], g.NotFoundError, "licence"),
    (429, "No capacity", [info("MODEL_CAPACITY_EXHAUSTED")], g.OverloadedError, "another model"),
])
def test_an_error_of_code_assist_ends_with_the_next_step(
    fake: FakeGemini, assist: Callable[..., g.GeminiClient], code: int, message: str, details: Any, error: Any,
    words: str,
) -> None:
    fake.error(code, message, details=details)
    with pytest.raises(error, match="(?s)%s.*%s" % (re.escape(message), words)):
        assist(retries=0).generate("hi")


@pytest.mark.parametrize("reason", ["UNSUPPORTED_CLIENT", "TOS_VIOLATION"])
@pytest.mark.parametrize("code", [403, 429, 503])
def test_nothing_is_tried_again_after_google_has_shut_the_door(
    fake: FakeGemini, assist: Callable[..., g.GeminiClient], no_sleep: List[float], reason: str, code: int,
) -> None:
    fake.error(code, "no", details=[info(reason)])
    with pytest.raises(g.APIError) as caught:
        assist().generate("hi")
    assert not caught.value.retryable and no_sleep == [] and len(fake.requests) == 2


def test_missing_capacity_is_tried_again_within_bounds(
    fake: FakeGemini, assist: Callable[..., g.GeminiClient], no_sleep: List[float],
) -> None:
    fake.error(429, "No capacity", details=[info("MODEL_CAPACITY_EXHAUSTED")])
    fake.reply("Hello")
    assert assist().generate("hi").text == "Hello" and len(no_sleep) == 1


def test_labels_and_safety_stand_at_the_requests_root(
    fake: FakeGemini, assist: Callable[..., g.GeminiClient],
) -> None:
    fake.reply("Hello")
    safety = [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]
    assist().generate("hi", labels={"team_a": "b_c"}, safety_settings=safety, cached_content="cachedContents/x")
    request = fake.requests[-1].body["request"]
    assert (request["labels"], request["safetySettings"]) == ({"team_a": "b_c"}, safety)
    assert request["cachedContent"] == "cachedContents/x" and "generationConfig" not in request


@pytest.mark.parametrize("endpoints", [[], "ftp://x", ["https://user:pw@host"]])
def test_endpoints_that_are_none_are_refused(endpoints: Any) -> None:
    with pytest.raises(ValueError, match="endpoint"):
        g.CodeAssist(lambda: TOKEN, endpoints=endpoints)


# With the sign-in of Gemini CLI, end to end

def sign_in(path: pathlib.Path, **fields: Any) -> pathlib.Path:
    """A file such as Gemini CLI keeps, whose token is good for an hour."""
    saved = {"access_token": "old-" + TOKEN, "refresh_token": "fake-" + "refresh", "token_type": "Bearer",
             "expiry_date": int((time.time() + 3600) * 1000), "scope": "s", **fields}
    path.write_text(json.dumps(saved), "utf-8")
    return path


def renewing(fake: FakeGemini, path: pathlib.Path) -> g.GeminiClient:
    credentials = g.OAuthCredentials(path, "an-id", "a-" + "secret", fake.token_url)
    return g.GeminiClient(backend=g.CodeAssist(credentials, endpoints=fake.code_assist_url))


def bearers(fake: FakeGemini) -> List[str]:
    return [request.headers["authorization"] for request in fake.requests if request.kind == "generate"]


def test_the_path_of_a_sign_in_alone_opens_a_conversation(
    fake: FakeGemini, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CODE_ASSIST_ENDPOINT", fake.code_assist_url)
    fake.reply("Hel", "lo")
    fake.reply("Hello again")
    with g.GeminiClient(credentials_path=str(sign_in(tmp_path / "oauth_creds.json"))) as client:
        assert client.send_message_stream("hi").response.text == "Hello"
        assert client.send_message("hi").text == "Hello again" and len(client.history) == 4
    assert bearers(fake) == ["Bearer old-" + TOKEN] * 2


@pytest.mark.parametrize("home", ["GEMINI_CLI_HOME", "HOME"])
def test_the_environment_chooses_code_assist_and_finds_the_sign_in(
    fake: FakeGemini, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, home: str,
) -> None:
    (tmp_path / ".gemini").mkdir()
    sign_in(tmp_path / ".gemini" / "oauth_creds.json")
    monkeypatch.setenv(home, str(tmp_path))
    monkeypatch.setenv("GOOGLE_GENAI_USE_GCA", "true")
    monkeypatch.setenv("CODE_ASSIST_ENDPOINT", fake.code_assist_url)
    fake.reply("Hello")
    assert str(g.query("hi")) == "Hello" and bearers(fake) == ["Bearer old-" + TOKEN]


def test_a_token_of_the_environment_is_used_without_a_file(
    fake: FakeGemini, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GEMINI_CLI_HOME", str(tmp_path))
    monkeypatch.setenv("GOOGLE_GENAI_USE_GCA", "true")
    monkeypatch.setenv("GOOGLE_CLOUD_ACCESS_TOKEN", "given-" + TOKEN)
    monkeypatch.setenv("CODE_ASSIST_ENDPOINT", fake.code_assist_url)
    fake.reply("Hello")
    assert str(g.query("hi")) == "Hello" and bearers(fake) == ["Bearer given-" + TOKEN]


def test_a_sign_in_that_expires_in_the_middle_is_renewed_and_saved(fake: FakeGemini, tmp_path: pathlib.Path) -> None:
    path = sign_in(tmp_path / "oauth_creds.json", expiry_date=int(time.time() * 1000), theirs="kept")
    fake.reply("Hello")
    with renewing(fake, path) as client:
        assert client.send_message("hi").text == "Hello"
    saved = json.loads(path.read_text("utf-8"))
    assert bearers(fake) == ["Bearer fake-access-token-1"]
    assert (saved["access_token"], saved["theirs"], saved["refresh_token"]) == (
        "fake-access-token-1", "kept", "fake-" + "refresh")


@pytest.mark.parametrize("method", ["send_message", "send_message_stream"])
def test_a_401_renews_the_sign_in_once_and_the_call_is_sent_once_more(
    fake: FakeGemini, tmp_path: pathlib.Path, no_sleep: List[float], method: str,
) -> None:
    with renewing(fake, sign_in(tmp_path / "oauth_creds.json")) as client:
        fake.error(401, "expired")
        fake.reply("Hello")
        answer = getattr(client, method)("hi")
        assert getattr(answer, "response", answer).text == "Hello" and no_sleep == []
        assert bearers(fake) == ["Bearer old-" + TOKEN, "Bearer fake-access-token-1"]
        fake.error(401, "no")
        fake.error(401, "still no")
        with pytest.raises(g.AuthenticationError):
            getattr(client, method)("again")
    assert len(bearers(fake)) == 4 and len(client.history) == 2


def test_a_revoked_sign_in_says_to_sign_in_again_and_keeps_the_history(
    fake: FakeGemini, tmp_path: pathlib.Path,
) -> None:
    path = sign_in(tmp_path / "oauth_creds.json", expiry_date=1)
    refusal = json.dumps({"error": "invalid_grant", "error_description": "Token has been expired or revoked."}).encode()
    fake.answer("token", Raw(refusal, status=400, headers={"Content-Length": str(len(refusal))}))
    with renewing(fake, path) as client, pytest.raises(g.CredentialsError, match="gemini.*again") as caught:
        client.send_message("hi")
    assert client.history == [] and caught.value.turns is not None
    assert [request.kind for request in fake.requests] == ["token"]


def test_a_token_server_that_is_down_is_asked_again(
    fake: FakeGemini, tmp_path: pathlib.Path, no_sleep: List[float],
) -> None:
    fake.answer("token", Error(503, "later"), Raw(status=None))
    fake.reply("Hello")
    with renewing(fake, sign_in(tmp_path / "oauth_creds.json", expiry_date=1)) as client:
        assert client.generate("hi").text == "Hello" and len(no_sleep) == 2
