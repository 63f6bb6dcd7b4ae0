"""The laws of the fake: what it answers, what it records, and when it fails a test."""

from __future__ import annotations

import gc
import http.client
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any, Iterator, List

import pytest
import requests
from testing.prompts import HELLO, MODEL, STREAM, UNARY

from gemini_lite import AuthenticationError, DeveloperAPI, GeminiClient, OverloadedError, TransportError
from gemini_lite.testing import Error, FakeGemini, Raw, Reply, Request, call


@pytest.fixture
def http_session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


class Client:
    """The few calls these tests make, over one kept-alive session."""

    def __init__(self, fake: FakeGemini, session: requests.Session) -> None:
        self.fake, self.session = fake, session

    def post(self, path: str = UNARY, body: Any = HELLO, **options: Any) -> requests.Response:
        return self.session.post(self.fake.url + path, json=body, timeout=10, **options)

    def get(self, path: str) -> requests.Response:
        return self.session.get(self.fake.url + path, timeout=10)

    def events(self, path: str = STREAM, body: Any = HELLO) -> List[Any]:
        """The JSON of each event of a stream, whose framing must be exact."""
        content = self.post(path, body).content
        blocks = content.split(b"\r\n\r\n")
        assert blocks.pop() == b"" and all(block.startswith(b"data: ") for block in blocks)
        return [json.loads(block[6:].decode()) for block in blocks]


@pytest.fixture
def client(fake: FakeGemini, http_session: requests.Session) -> Client:
    return Client(fake, http_session)


def ask(fake: FakeGemini, body: Any) -> Any:
    """The texts of one unary answer, over a connection of its own."""
    with requests.Session() as session:
        session.trust_env = False
        return texts([Client(fake, session).post(body=body).json()])[0]


def texts(events: List[Any]) -> List[Any]:
    return [[part.get("text") for part in event["candidates"][0]["content"]["parts"]] for event in events]


# Replies

def test_each_item_is_one_event_and_only_the_last_one_finishes(fake: FakeGemini, client: Client) -> None:
    fake.reply("Hel", {"text": "lo", "thought": True}, ["a", {"text": "b"}])
    events = client.events()
    assert texts(events) == [["Hel"], ["lo"], ["a", "b"]]
    assert [event["candidates"][0].get("finishReason") for event in events] == [None, None, "STOP"]
    assert {event["modelVersion"] for event in events} == {"gemini-2.5-flash"}
    assert len({event["responseId"] for event in events}) == 1
    assert events[-1]["usageMetadata"] == {"promptTokenCount": 2, "candidatesTokenCount": 3, "totalTokenCount": 5}


def test_a_unary_call_gets_the_same_reply_folded_into_one_answer(fake: FakeGemini, client: Client) -> None:
    items: List[Any] = ["Hel", "lo", {"text": "hm", "thought": True}, {"text": "m", "thought": True},
                        [{"text": "x", "thoughtSignature": "c2ln"}, "y"], call("f", {}), "z"]
    fake.reply(*items, finishReason="MAX_TOKENS", modelVersion="m-001")
    fake.reply(*items, finishReason="MAX_TOKENS", modelVersion="m-001")
    last = client.events()[-1]
    answer = client.post().json()
    assert answer["candidates"][0]["content"]["parts"] == [
        {"text": "Hello"}, {"text": "hmm", "thought": True}, {"text": "x", "thoughtSignature": "c2ln"}, {"text": "y"},
        {"functionCall": {"name": "f", "args": {}}}, {"text": "z"}]
    assert answer["candidates"][0]["finishReason"] == "MAX_TOKENS"
    assert answer["usageMetadata"] == last["usageMetadata"]
    assert answer["modelVersion"] == "m-001"


def test_fields_go_into_the_last_event_and_those_of_a_candidate_into_its_candidate(
        fake: FakeGemini, client: Client) -> None:
    fake.reply("a", "b", usageMetadata={"totalTokenCount": 9}, safetyRatings=[], groundingMetadata={"x": 1})
    first, last = client.events()
    assert "safetyRatings" not in first["candidates"][0] and first["usageMetadata"]["totalTokenCount"] != 9
    assert last["usageMetadata"] == {"totalTokenCount": 9}
    assert last["candidates"][0]["safetyRatings"] == []
    assert last["candidates"][0]["groundingMetadata"] == {"x": 1}


def test_a_field_that_is_none_is_sent_nowhere(fake: FakeGemini, client: Client) -> None:
    for _ in range(2):
        fake.reply("a", "b", finishReason=None, usageMetadata=None, responseId=None)
    for answer in [*client.events(), client.post().json()]:
        assert answer.keys() == {"candidates", "modelVersion"}
        assert answer["candidates"][0].keys() == {"content", "index"}


def test_a_field_in_snake_case_is_refused_for_it_would_mean_nothing() -> None:
    with pytest.raises(TypeError, match="finish_reason"):
        Reply("a", finish_reason="STOP")


def test_no_items_give_a_candidate_without_content_and_a_blocked_prompt_gives_none(
        fake: FakeGemini, client: Client) -> None:
    for _ in range(2):
        fake.reply(finishReason="SAFETY")
        fake.reply(promptFeedback={"blockReason": "SAFETY"})
    for empty, blocked in [(client.events()[0], client.events()[0]), (client.post().json(), client.post().json())]:
        assert empty["candidates"] == [{"finishReason": "SAFETY", "index": 0}]
        assert "candidates" not in blocked and blocked["promptFeedback"] == {"blockReason": "SAFETY"}


def test_several_candidates_can_be_given_whole(fake: FakeGemini, client: Client) -> None:
    candidates = [{"content": {"role": "model", "parts": [{"text": text}]}, "index": i} for i, text in enumerate("ab")]
    fake.reply("x", candidates=candidates)
    assert client.post().json()["candidates"][1] == candidates[1]


def test_a_call_is_a_part_with_its_signature_beside_it() -> None:
    assert call("f", {"a": 1}) == {"functionCall": {"name": "f", "args": {"a": 1}}}
    assert FakeGemini.call("f", {}, id="c1", signature="c2ln") == {
        "functionCall": {"id": "c1", "name": "f", "args": {}}, "thoughtSignature": "c2ln"}


def test_text_travels_as_utf8_with_line_separators_unescaped(fake: FakeGemini, client: Client) -> None:
    fake.reply("wörld \u2028 \u0085")
    content = client.post(STREAM).content
    assert "wörld \u2028 \u0085".encode() in content


def test_a_reply_is_what_it_was_when_scripted_and_must_be_json(fake: FakeGemini, client: Client) -> None:
    part = call("f", {"a": 1})
    fake.reply(part)
    part["functionCall"]["args"]["a"] = 2
    assert client.post().json()["candidates"][0]["content"]["parts"] == [call("f", {"a": 1})]
    with pytest.raises(TypeError):
        fake.reply({"inlineData": {"data": b"bytes"}})


def test_a_stream_without_alt_sse_is_a_json_array(fake: FakeGemini, client: Client) -> None:
    fake.reply("a", "b")
    response = client.post(f"{MODEL}:streamGenerateContent")
    assert response.headers["Content-Type"].startswith("application/json")
    assert texts(response.json()) == [["a"], ["b"]]


# Code Assist and the other calls

def test_code_assist_wraps_every_event_and_keeps_the_id_outside(fake: FakeGemini, client: Client) -> None:
    body = {"model": "gemini-2.5-pro", "project": "p", "request": HELLO}
    fake.reply("a", "b")
    fake.reply("c")
    events = client.events("/v1internal:streamGenerateContent?alt=sse", body)
    events.append(client.post("/v1internal:generateContent", body).json())
    assert texts([event["response"] for event in events]) == [["a"], ["b"], ["c"]]
    assert [event["traceId"] for event in events] == ["fake-response-1", "fake-response-1", "fake-response-2"]
    assert all("responseId" not in event["response"] for event in events)
    assert events[0]["response"]["modelVersion"] == "gemini-2.5-pro"


@pytest.mark.parametrize("version", ["v1", "v1beta", "v1alpha", "anything"])
def test_any_api_version_is_served(fake: FakeGemini, client: Client, version: str) -> None:
    fake.reply("a")
    assert client.post(f"/{version}/models/m:generateContent").json()["modelVersion"] == "m"
    assert client.post(f"/{version}:loadCodeAssist", {}).json()["cloudaicompanionProject"] == "fake-project"


def test_set_up_calls_have_answers_and_leave_the_script_alone(fake: FakeGemini, client: Client) -> None:
    fake.reply("still here")
    tokens = [client.session.post(fake.token_url, data={"grant_type": "refresh_token"}).json() for _ in range(2)]
    assert [token["access_token"] for token in tokens] == ["fake-access-token-1", "fake-access-token-2"]
    assert tokens[0]["expires_in"] == 3599 and tokens[0]["token_type"] == "Bearer"
    assert client.post("/v1internal:loadCodeAssist", {}).json()["currentTier"]["id"] == "standard-tier"
    for operation in (client.post("/v1internal:onboardUser", {}), client.get("/v1internal/operations/1")):
        assert operation.json()["done"] and operation.json()["response"]["cloudaicompanionProject"]["id"]
    assert client.post("/v1internal:retrieveUserQuota", {}).json()["buckets"][0]["modelId"]
    assert client.post(f"{MODEL}:countTokens").json() == {"totalTokens": 2}
    assert client.get("/v1beta/models").json()["models"]
    assert client.post().json()["candidates"][0]["content"]["parts"] == [{"text": "still here"}]


def test_tokens_are_four_characters_each_and_never_none(fake: FakeGemini, client: Client) -> None:
    def count(path: str, body: Any) -> Any:
        return client.post(path, body).json()["totalTokens"]

    assert count(f"{MODEL}:countTokens", {"contents": []}) == 1
    assert count(f"{MODEL}:countTokens", {"contents": [{"parts": [{"text": "x" * 8}, {"text": "y"}]}]}) == 3
    assert count("/v1internal:countTokens", {"request": {"model": "models/m", "contents": []}}) == 1
    assert count("/v1internal:countTokens", {"request": HELLO}) == 2


def test_the_model_list_has_pages_that_do_not_overlap(fake: FakeGemini, client: Client) -> None:
    whole = client.get("/v1beta/models").json()
    assert "nextPageToken" not in whole
    names: List[str] = []
    page: Any = {"nextPageToken": ""}
    while "nextPageToken" in page:
        page = client.get(f"/v1beta/models?pageSize=3&pageToken={page['nextPageToken']}").json()
        assert len(page["models"]) <= 3
        names += [model["name"] for model in page["models"]]
    assert names == [model["name"] for model in whole["models"]]
    assert client.get(f"/v1beta/{names[1]}").json() == whole["models"][1]
    assert client.get("/v1beta/models/nope").status_code == 404
    assert client.get("/v1beta/models?pageToken=nope").status_code == 400


def test_other_calls_are_scripted_by_name_and_then_answer_as_before(fake: FakeGemini, client: Client) -> None:
    fake.answer("countTokens", {"totalTokens": 77}, Error(503), Raw(b"{}"))
    answers = [client.post(f"{MODEL}:countTokens") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 503, 200, 200]
    assert [answers[0].json(), answers[2].json(), answers[3].json()] == [{"totalTokens": 77}, {}, {"totalTokens": 2}]
    with pytest.raises(ValueError, match="loadCodeAssist"):
        fake.answer("loadcodeassist", {})


@pytest.mark.parametrize("method, path", [("POST", "/v1beta/models/m:nope"), ("POST", "/v1internal:nope"),
                                          ("GET", UNARY), ("DELETE", "/v1beta/models/m"), ("GET", "/")])
def test_an_unknown_path_is_a_404_in_googles_shape(fake: FakeGemini, client: Client, method: str, path: str) -> None:
    response = client.session.request(method, fake.url + path, timeout=10)
    assert response.status_code == 404
    assert response.json()["error"]["status"] == "NOT_FOUND"


# Errors and raw bytes

@pytest.mark.parametrize("path, as_array", [
    (UNARY, False), (STREAM, False), (f"{MODEL}:streamGenerateContent", True), ("/v1internal:generateContent", False),
    ("/v1internal:streamGenerateContent?alt=sse", True),
    ("/v1/projects/p/locations/l/publishers/google/models/m:streamGenerateContent?alt=sse", False),
])
def test_an_error_is_an_object_or_an_array_as_the_api_in_question_sends_it(
        fake: FakeGemini, client: Client, path: str, as_array: bool) -> None:
    fake.error(429, "slow down", details=[{"retryDelay": "1s"}], headers={"Retry-After": "1"})
    answer = client.post(path)
    body = {"error": {
        "code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED", "details": [{"retryDelay": "1s"}]}}
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert answer.json() == ([body] if as_array else body)


def test_an_error_without_details_sends_none_and_any_status_can_be_said(fake: FakeGemini, client: Client) -> None:
    fake.error(500)
    fake.error(400, status="FAILED_PRECONDITION")
    fake.error(418)
    answers = [client.post().json()["error"] for _ in range(3)]
    assert answers[0] == {"code": 500, "message": "", "status": "INTERNAL"}
    assert [answer["status"] for answer in answers[1:]] == ["FAILED_PRECONDITION", "UNKNOWN"]


def connect(fake: FakeGemini) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(fake.url.rsplit(":", 1)[1])), timeout=10)


def wire(fake: FakeGemini, path: str = STREAM) -> bytes:
    """Everything the fake sends on one connection, up to its end."""
    with connect(fake) as sock:
        sock.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode())
        return b"".join(iter(lambda: sock.recv(65536), b""))


def test_raw_pieces_are_one_http_chunk_each_and_a_cut_leaves_out_the_end(fake: FakeGemini) -> None:
    fake.raw(b"da", b"", b"ta: 1")
    fake.raw(b"data", cut=True)
    head, body = wire(fake).split(b"\r\n\r\n", 1)
    assert b"transfer-encoding: chunked" in head and b"content-type: text/event-stream" in head
    assert body == b"2\r\nda\r\n5\r\nta: 1\r\n0\r\n\r\n"
    assert wire(fake).endswith(b"\r\n\r\n4\r\ndata\r\n")


def test_headers_choose_the_shape_of_a_raw_body_in_any_case(fake: FakeGemini) -> None:
    fake.raw(b"{", b"}", status=201, headers={"CONTENT-LENGTH": "2", "Content-Type": "text/plain"})
    fake.raw(b"{}", headers={"connection": "Close"})
    sized, closed = wire(fake, UNARY), wire(fake, UNARY)
    assert sized.startswith(b"HTTP/1.1 201 Created\r\n") and sized.endswith(b"\r\n\r\n{}")
    assert b"text/plain" in sized and b"chunked" not in sized
    assert closed.endswith(b"\r\n\r\n{}") and b"chunked" not in closed and b"application/json" in closed


def test_raw_without_a_status_sends_the_pieces_and_nothing_else(fake: FakeGemini) -> None:
    fake.raw(status=None, cut=True)
    fake.raw(b"HTTP/1.1 200 Fine\r\n", b"\r\n", status=None)
    assert wire(fake) == b""
    assert wire(fake) == b"HTTP/1.1 200 Fine\r\n\r\n"


def test_a_sent_answer_can_be_followed_by_a_silent_close(fake: FakeGemini, client: Client) -> None:
    fake.raw(b"{}", headers={"Content-Length": "2"}, cut=True)
    fake.reply("b")
    assert client.post().json() == {}
    time.sleep(0.05)    # lets the FIN arrive, which urllib3 then notices
    assert client.post().status_code == 200
    assert [request.connection for request in fake.requests] == [1, 2]


def test_delay_is_before_each_piece_but_the_first(fake: FakeGemini, client: Client) -> None:
    fake.raw(b"a", b"b", b"", delay=0.15)
    start = time.monotonic()
    response = client.post(STREAM, stream=True)
    arrivals = [(piece, time.monotonic() - start) for piece in response.iter_content(None)]
    end = time.monotonic() - start
    assert [piece for piece, _ in arrivals] == [b"a", b"b"]
    assert arrivals[0][1] < 0.15 <= arrivals[1][1] and end >= 0.3


def test_leaving_does_not_wait_for_a_delay(http_session: requests.Session) -> None:
    start = time.monotonic()
    with FakeGemini() as fake:
        fake.raw(b"a", b"b", delay=60)
        response = http_session.post(fake.url + STREAM, json=HELLO, stream=True, timeout=10)
        assert next(response.iter_content(1)) == b"a"
    response.close()
    assert time.monotonic() - start < 5


# What is recorded

def test_requests_are_recorded_as_they_came(fake: FakeGemini, client: Client) -> None:
    fake.reply("a")
    client.post(STREAM, headers={"X-Goog-Api-Key": "test-key"})
    client.session.post(fake.token_url, data={"refresh_token": "test-refresh", "empty": ""})
    client.session.post(fake.url + "/other", data=b"\x00\x01")
    client.session.post(fake.url + "/other", data=b"{broken", headers={"Content-Type": "application/json"})
    first = fake.requests[0]
    assert (first.method, first.path, first.body, first.connection) == ("POST", STREAM, HELLO, 1)
    assert first.headers["x-goog-api-key"] == "test-key"
    assert (first.kind, first.model, first.streamed, first.code_assist) == ("generate", "gemini-2.5-flash", True, False)
    assert [request.body for request in fake.requests[1:]] == [
        {"refresh_token": "test-refresh", "empty": ""}, b"\x00\x01", b"{broken"]


def test_redact_hides_every_credential_and_nothing_else(http_session: requests.Session) -> None:
    secrets = {"refresh_token": "test-refresh", "client_secret": "test-secret", "client_id": "test-id"}
    headers = {"Authorization": "Bearer test-token", "X-Goog-Api-Key": "test-key"}
    with FakeGemini(redact=True) as fake:
        http_session.post(f"{fake.token_url}?a=1&key=test-key&access_token=test-token", data=secrets, headers=headers)
    request = fake.requests[0]
    assert request.path == "/token?a=1&key=***&access_token=***"
    assert request.body == {"refresh_token": "***", "client_secret": "***", "client_id": "test-id"}
    assert request.headers["authorization"] == request.headers["x-goog-api-key"] == "***"
    assert "content-length" in request.headers


def test_a_kept_alive_connection_keeps_its_number(fake: FakeGemini, client: Client) -> None:
    for _ in range(2):
        fake.reply("a")
        fake.raw(b"data: {}\r\n\r\n")
    client.post(), client.post(STREAM)
    client.session.close()    # which leaves it usable, with new connections
    client.post(), client.post(STREAM)
    assert [request.connection for request in fake.requests] == [1, 1, 2, 2]
    assert fake.connections == 2


def test_a_chunked_request_body_is_read_whole(fake: FakeGemini, client: Client) -> None:
    fake.reply("a")
    pieces = [json.dumps(HELLO)[i:i + 7].encode() for i in range(0, 100, 7)]
    client.session.post(fake.url + UNARY, data=iter(filter(None, pieces)), headers={"Content-Type": "application/json"})
    assert fake.requests[0].body == HELLO
    assert client.post(f"{MODEL}:countTokens").status_code == 200


def test_a_body_waits_for_100_continue_when_the_client_does(fake: FakeGemini) -> None:
    with connect(fake) as sock:
        sock.sendall(b"POST /token HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert sock.recv(100).startswith(b"HTTP/1.1 100 ")
        sock.sendall(b"{}")
        assert sock.recv(4096).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("chunked", [False, True])
def test_twenty_megabytes_are_read_in_linear_time(fake: FakeGemini, client: Client, chunked: bool) -> None:
    block = b"x" * (1 << 20)
    start = time.monotonic()
    client.session.post(fake.url + "/other", data=iter([block] * 20) if chunked else block * 20)
    assert len(fake.requests[0].body) == 20 << 20
    assert time.monotonic() - start < 2


@pytest.mark.parametrize("sent", [
    b"POST /token HTTP/1.1\r\nContent-Length: 9\r\n\r\nhalf",
    b"POST /token HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf",
    b"POST /token HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    b"",
])
def test_a_client_that_leaves_before_the_end_is_no_request_and_no_noise(
        sent: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    with FakeGemini() as fake, connect(fake) as sock:
        sock.sendall(sent)
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(1) == b""
    assert fake.requests == []
    assert capfd.readouterr() == ("", "")


def test_what_is_not_http_gets_a_400_and_no_noise(fake: FakeGemini, capfd: pytest.CaptureFixture[str]) -> None:
    with connect(fake) as sock:
        sock.sendall(b"nonsense\r\n\r\n")
        assert b"400" in sock.recv(4096)
    assert capfd.readouterr() == ("", "")


def test_a_client_that_leaves_in_mid_answer_makes_no_noise(capfd: pytest.CaptureFixture[str]) -> None:
    with FakeGemini(lambda request: Raw(*[b"x" * 100000] * 100, delay=0.001)) as fake:
        connection = http.client.HTTPConnection(fake.url.split("//")[1], timeout=10)
        connection.request("POST", STREAM, b"{}")
        connection.getresponse().read(10)
        connection.close()
        time.sleep(0.05)
    assert capfd.readouterr() == ("", "")


# The script, the default, and the end

def test_replies_go_out_in_the_order_of_the_recorded_requests(fake: FakeGemini) -> None:
    for number in range(64):
        fake.reply(str(number))

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda number: ask(fake, {"asker": number}), range(64)))
    assert [answers[request.body["asker"]] for request in fake.requests] == [[str(number)] for number in range(64)]


def test_the_default_answers_64_threads_once_the_script_is_empty() -> None:
    def echo(request: Request) -> str:
        return str(request.body["asker"])

    with FakeGemini(echo, strict=False) as fake, ThreadPoolExecutor(64) as pool:
        answers = list(pool.map(lambda number: ask(fake, {"asker": number}), range(256)))
    assert answers == [[str(number)] for number in range(256)]
    assert len(fake.requests) == 256


@pytest.mark.parametrize("given, expected", [
    ("a", ["a"]),
    ({"text": "a"}, ["a"]),
    (["a", ["b", "c"]], ["abc"]),
    (Reply("a", finishReason=None), ["a"]),
    (Raw(b'{"candidates":[{"content":{"parts":[{"text":"raw"}]}}]}'), ["raw"]),
])
def test_a_default_may_return_whatever_can_be_scripted(
        given: Any, expected: List[str], http_session: requests.Session) -> None:
    with FakeGemini(lambda request: given) as fake:
        assert texts([Client(fake, http_session).post().json()]) == [expected]


def test_a_default_may_return_an_error(http_session: requests.Session) -> None:
    with FakeGemini(lambda request: Error(503)) as fake:
        assert Client(fake, http_session).post().json()["error"]["status"] == "UNAVAILABLE"


def test_what_a_default_raises_reaches_the_test(http_session: requests.Session) -> None:
    with pytest.raises(ZeroDivisionError):
        with FakeGemini(lambda request: str(1 // 0)) as fake:
            answer = Client(fake, http_session).post()
    assert answer.status_code == 400 and "ZeroDivisionError" in answer.json()["error"]["message"]


def test_what_a_service_raises_reaches_the_test_too(http_session: requests.Session) -> None:
    with pytest.raises(ZeroDivisionError):
        with FakeGemini() as fake:
            fake.services.append(lambda request: Error(1 // 0))
            answer = Client(fake, http_session).get("/v1beta/files")
    assert answer.status_code == 400 and "ZeroDivisionError" in answer.json()["error"]["message"]


def test_no_reply_left_is_a_400_that_says_how_to_add_one_and_fails_on_exit(http_session: requests.Session) -> None:
    with pytest.raises(AssertionError, match="more than was scripted.*generateContent"):
        with FakeGemini() as fake:
            error = Client(fake, http_session).post().json()["error"]
    assert error["status"] == "INVALID_ARGUMENT"
    assert "FakeGemini has no reply left" in error["message"] and "reply()" in error["message"]
    assert "times=5" in error["message"] and "retries=0" in error["message"]


@pytest.mark.parametrize("item, error", [
    ({"name": "x"}, ValueError), ([{"name": "x"}], ValueError), (None, TypeError), (5, TypeError), ([5], TypeError)])
def test_an_answer_that_is_none_is_refused_at_once(item: Any, error: Any) -> None:
    with pytest.raises(error, match=r"json\.dumps"):
        FakeGemini().reply(item)


def test_failures_are_scripted_for_each_try_of_a_client(no_sleep: Any) -> None:
    with FakeGemini() as fake:
        fake.error(503, "busy", times=3)
        fake.drop(times=2)
        fake.error(400, "API key not valid.", reason="API_KEY_INVALID")
        for failure in (OverloadedError, TransportError, AuthenticationError):
            with GeminiClient(backend=DeveloperAPI("k", base_url=fake.url), retries=2) as gemini:
                with pytest.raises(failure):
                    gemini.generate("Hi")
    assert len(fake.requests) == 6


def test_unused_replies_fail_on_exit_but_never_hide_an_exception() -> None:
    with pytest.raises(AssertionError, match=r"(?s)generate: Reply.*never.*countTokens: Raw.*\b7\b"):
        with FakeGemini() as fake:
            fake.reply("never")
            fake.answer("countTokens", {"totalTokens": 7})
    with pytest.raises(KeyboardInterrupt):
        with FakeGemini() as fake:
            fake.reply("never")
            raise KeyboardInterrupt


def test_after_the_end_nothing_listens_and_no_thread_or_socket_is_left() -> None:
    before = set(threading.enumerate())
    fake = FakeGemini().start()
    with connect(fake) as idle:
        while fake.connections < 1:
            time.sleep(0.001)
        fake.close()
        fake.close()
        assert idle.recv(1) == b""
    assert set(threading.enumerate()) == before
    with pytest.raises(OSError):
        connect(fake)
    gc.collect()    # an unclosed socket would warn here, and warnings are errors


def test_before_the_start_there_is_no_address_and_it_says_so() -> None:
    fake = FakeGemini()
    for name in ("url", "code_assist_url", "token_url"):
        with pytest.raises(RuntimeError, match="with FakeGemini"):
            getattr(fake, name)


def test_256_clients_are_let_in_at_once(fake: FakeGemini) -> None:
    clients = [connect(fake) for _ in range(256)]
    for sock in clients:
        sock.sendall(b"POST /token HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
    for sock in clients:
        assert sock.recv(4096).startswith(b"HTTP/1.1 200")
        sock.close()
    assert fake.connections == 256


def test_raw_takes_bytes_alone() -> None:
    with pytest.raises(TypeError, match="encode"):
        FakeGemini().raw("<html>")    # type: ignore[arg-type]


def test_a_stand_in_starts_once_and_says_so(http_session: requests.Session) -> None:
    FakeGemini().close()
    with FakeGemini(lambda request: "ok").start() as fake:
        url = fake.url
        with pytest.raises(RuntimeError, match="make a new one"):
            fake.start()
        assert fake.url == url and http_session.get(f"{url}/v1beta/models").ok
    with pytest.raises(RuntimeError, match="make a new one"), fake:
        pass


@pytest.mark.parametrize("wrong", [
    lambda: Error("429"), lambda: Error(None), lambda: Error(42), lambda: Raw(status="200"),  # type: ignore[arg-type]
    lambda: Error(400, ValueError("no")), lambda: Error(400, details=[{1, 2}])])  # type: ignore[arg-type, list-item]
def test_an_answer_that_cannot_be_sent_fails_where_it_is_made(wrong: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        wrong()
    assert Error(HTTPStatus.NOT_FOUND).error["status"] == "NOT_FOUND"


@pytest.mark.parametrize("given", [None, 5, b"ok", [None]])
def test_a_default_that_returns_no_answer_is_told_what_one_is(http_session: requests.Session, given: Any) -> None:
    with pytest.raises(TypeError, match="an item of an answer is|JSON"), FakeGemini(lambda request: given) as fake:
        http_session.post(fake.url + UNARY, json=HELLO)


def test_a_default_that_is_no_function_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match="str is no function: write FakeGemini"):
        FakeGemini("hello")  # type: ignore[arg-type]


@pytest.mark.parametrize("status", [204, 304])
def test_the_answer_after_one_without_a_body_comes_on_the_same_connection(fake: FakeGemini, status: int) -> None:
    fake.answer("GET /none", Raw(status=status))
    request = b"GET /%b HTTP/1.1\r\nHost: x\r\n%b\r\n"
    with socket.create_connection(("127.0.0.1", int(fake.url.rpartition(":")[2]))) as sock, sock.makefile("rb") as file:
        sock.sendall(request % (b"none", b"") + request % (b"v1beta/models", b"Connection: close\r\n"))
        head, _, rest = file.read().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status) and rest.startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("head", [
    b"Content-Length: abc", b"Content-Length: -5", b"Transfer-Encoding: chunked\r\n\r\nzz"])
def test_a_size_that_is_none_ends_the_connection_without_noise(
        fake: FakeGemini, capfd: pytest.CaptureFixture[str], head: bytes) -> None:
    with socket.create_connection(("127.0.0.1", int(fake.url.rpartition(":")[2]))) as sock:
        sock.sendall(b"POST /v1beta/models/m:generateContent HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n\r\n")
        assert sock.recv(1) == b""
    assert capfd.readouterr().err == "" and fake.requests == []
