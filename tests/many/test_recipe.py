"""Laws of a recipe: it goes anywhere, a key goes nowhere, and every prompt has its own result in its place."""
import copy
import dataclasses
import functools
import os
import pickle
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from numbers import Integral

import pytest

from gemini_lite import (
    CodeAssist, CredentialsError, DeveloperAPI, GeminiClient, GeminiOptions, QuotaExhaustedError, Recipe, Tool,
)
from gemini_lite.testing import FakeGemini
from gemini_lite.testing.server import Error
from gemini_lite.transport.transport import Transport

KEY = "AIzaSyA-not-a-key-0123456789abcdefghijk"


def asked(request):
    return request.body["contents"][0]["parts"][0]["text"]


@pytest.fixture
def echoing():
    def answer(request):
        return Error(400, "bad") if asked(request) == "bad" else f"answer to {asked(request)}"
    with FakeGemini(answer) as fake:
        yield fake


@pytest.fixture
def recipe(echoing, monkeypatch):
    monkeypatch.setenv("MY_KEY", KEY)
    return Recipe(backend=functools.partial(DeveloperAPI, base_url=echoing.url), key_env="MY_KEY", concurrency=4)


def key_from_a_function():
    return KEY


def test_a_recipe_is_small_when_pickled_and_has_no_key(recipe):
    data = pickle.dumps(recipe)
    twin = pickle.loads(data)
    assert (twin.options, twin.key_env, twin.concurrency) == (recipe.options, "MY_KEY", 4)
    assert len(data) < 2000 and KEY.encode() not in data


def test_results_come_in_order_from_threads(recipe, echoing):
    with ThreadPoolExecutor(2) as executor:
        results = list(recipe.map((str(number) for number in range(95)), executor=executor, chunk=10))
    assert [result.text for result in results] == [f"answer to {number}" for number in range(95)]
    assert [result.index for result in results] == list(range(95))
    assert [result.key for result in results] == [str(number) for number in range(95)]
    assert {request.headers["x-goog-api-key"] for request in echoing.requests} == {KEY}


def test_results_come_from_processes(recipe):
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        results = list(recipe.map([("a", "x"), "bad", {"key": "c", "prompt": "z"}], executor=executor, chunk=1))
    assert [(result.key, result.text) for result in results] \
        == [("a", "answer to x"), ("1", None), ("c", "answer to z")]
    assert results[1].error.code == 400


def test_an_outage_in_one_chunk_loses_no_other(monkeypatch):
    monkeypatch.setenv("MY_KEY", KEY)
    monkeypatch.setattr("gemini_lite.many.engine.FIRST_RETRY", 0.01)
    with FakeGemini(lambda request: "x" if int(asked(request)) < 30 else Error(503, "busy")) as fake:
        recipe = Recipe(backend=functools.partial(DeveloperAPI, base_url=fake.url), key_env="MY_KEY")
        with ThreadPoolExecutor(1) as executor:
            results = list(recipe.map(map(str, range(60)), executor=executor, chunk=30))
    assert [result.text for result in results] == ["x"] * 30 + [None] * 30 and "busy" in str(results[59].error)


SPENT = {"@type": "type.googleapis.com/google.rpc.QuotaFailure",
         "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel", "quotaValue": "50"}]}


@pytest.mark.parametrize("make_executor", [
    lambda: ThreadPoolExecutor(1), lambda: ThreadPoolExecutor(3),
    lambda: ProcessPoolExecutor(2, mp_context=get_context("spawn"))], ids=["one thread", "threads", "processes"])
def test_what_was_answered_before_the_quota_was_spent_is_handed_on(monkeypatch, make_executor):
    monkeypatch.setenv("MY_KEY", KEY)
    lock, answered = threading.Lock(), []

    def answer(request):
        with lock:
            if len(answered) == 50:
                return Error(429, "spent", details=[SPENT])
            answered.append(asked(request))
            return f"answer to {answered[-1]}"
    with FakeGemini(answer) as fake, make_executor() as executor:
        recipe = Recipe(backend=functools.partial(DeveloperAPI, base_url=fake.url), key_env="MY_KEY", concurrency=2)
        results = []
        with pytest.raises(QuotaExhaustedError, match="spent"):
            for result in recipe.map(map(str, range(1000)), executor=executor, chunk=30):
                results.append(result)
    assert sorted(result.text for result in results) == sorted(f"answer to {text}" for text in answered)
    assert [result.index for result in results] == sorted(int(text) for text in answered)
    assert len(fake.requests) < 100


def test_what_was_answered_before_the_callers_iterator_fails_is_handed_on(recipe):
    def prompts():
        yield from map(str, range(95))
        raise LookupError("the database is gone")
    results = []
    with ThreadPoolExecutor(2) as executor, pytest.raises(LookupError, match="the database is gone"):
        for result in recipe.map(prompts(), executor=executor, chunk=10):
            results.append(result.text)
    assert results == [f"answer to {number}" for number in range(90)]


def test_the_error_of_a_chunk_has_what_was_answered(monkeypatch):
    monkeypatch.setenv("MY_KEY", KEY)
    with FakeGemini(lambda request: "x" if int(asked(request)) < 7 else Error(429, "spent", details=[SPENT])) as fake:
        recipe = Recipe(backend=functools.partial(DeveloperAPI, base_url=fake.url), key_env="MY_KEY", concurrency=1)
        with pytest.raises(QuotaExhaustedError) as caught:
            recipe.answer(map(str, range(20)))
    assert [result.text for result in caught.value.results] == ["x"] * 7


def test_calls_have_the_names_that_the_user_gave_the_tools(monkeypatch):
    monkeypatch.setenv("MY_KEY", KEY)
    with FakeGemini(lambda request: FakeGemini.call(request.functions[0]["name"], {})) as fake:
        recipe = Recipe(GeminiOptions(tools=[Tool("größe 1", "Its size.")]), key_env="MY_KEY",
                        backend=functools.partial(DeveloperAPI, base_url=fake.url))
        result, = recipe.answer(["Hi"])
    assert [call.name for call in result.response.function_calls] == ["größe 1"]


def test_no_more_chunks_are_out_than_ahead_says(recipe):
    read = []

    def prompts():
        for number in range(1000):
            read.append(number)
            yield str(number)
    with ThreadPoolExecutor(2) as executor:
        results = recipe.map(prompts(), executor=executor, chunk=10, ahead=3)
        next(results)
        assert len(read) <= 50
        results.close()


def test_equal_chunks_are_not_equal_tasks(recipe):
    class Recorder(ThreadPoolExecutor):
        arguments = []

        def submit(self, function, *arguments):
            self.arguments.append(pickle.dumps(arguments))
            return super().submit(function, *arguments)
    with Recorder(1) as executor:
        for _ in range(2):
            list(recipe.map(["same"] * 20, executor=executor, chunk=10))
    assert len(set(Recorder.arguments)) == 4


def test_a_worker_without_the_key_says_where_it_looked(recipe, monkeypatch):
    from gemini_lite.many import worker
    monkeypatch.setattr(worker, "_callers", {})
    monkeypatch.delenv("MY_KEY")
    with pytest.raises(CredentialsError, match="environment variable MY_KEY"):
        recipe.answer(["x"])


@pytest.mark.parametrize("where", [
    lambda tmp_path: {"key_file": write_key(tmp_path)}, lambda tmp_path: {"key_function": key_from_a_function},
    lambda tmp_path: {"key_function": f"{__name__}:key_from_a_function"}], ids=["file", "function", "named function"])
def test_a_key_comes_from_where_the_recipe_says(echoing, tmp_path, where, monkeypatch):
    import sys
    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or __import__("types").ModuleType(__name__))
    monkeypatch.setattr(sys.modules[__name__], "key_from_a_function", key_from_a_function, raising=False)
    recipe = Recipe(backend=functools.partial(DeveloperAPI, base_url=echoing.url), **where(tmp_path))
    assert KEY not in repr(recipe)
    assert recipe.answer(["x"])[0].text == "answer to x"
    assert echoing.requests[0].headers["x-goog-api-key"] == KEY


def write_key(folder, encoding="utf-8"):
    path = folder / "key"
    path.write_text(f"{KEY}\n", encoding=encoding)
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_key_is_read_from_a_file_as_windows_writes_it(echoing, tmp_path, encoding):
    recipe = Recipe(backend=functools.partial(DeveloperAPI, base_url=echoing.url),
                    key_file=write_key(tmp_path, encoding))
    assert recipe.answer(["x"])[0].text == "answer to x"
    assert echoing.requests[0].headers["x-goog-api-key"] == KEY


@pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf \n", b"\xff\xfe", b"AIza\xff", b"\xff\xfeA", b"two words"])
def test_a_file_that_holds_no_key_says_so_and_shows_nothing(tmp_path, data):
    (tmp_path / "key").write_bytes(data)
    with pytest.raises(CredentialsError) as caught:
        Recipe(key_file=tmp_path / "key").answer(["x"])
    assert "AIza" not in str(caught.value) and caught.value.__cause__ is caught.value.__context__ is None


@pytest.mark.parametrize("value", [KEY.encode(), 5, ["AIza"], None, ""], ids=lambda value: type(value).__name__)
def test_a_function_that_returns_no_key_is_no_key_of_googles(echoing, value):
    recipe = Recipe(backend=functools.partial(DeveloperAPI, base_url=echoing.url), key_function=lambda: value)
    with pytest.raises(CredentialsError, match="This worker"):
        recipe.answer(["x"])
    assert echoing.requests == []


@pytest.mark.parametrize("fields", [
    lambda url: {"options": GeminiOptions(response_schema=dataclasses.make_dataclass("Review", [("mood", str)]))},
    lambda url: {"backend": lambda key: DeveloperAPI(key, base_url=url)},
    lambda url: {"key_env": None, "key_function": lambda: KEY}], ids=["class", "backend", "key function"])
def test_what_a_notebook_defines_needs_no_module_and_shares_connections(echoing, monkeypatch, fields):
    """Dask, Ray and Spark pickle it by value, and a worker cannot pickle it by name."""
    made = []
    monkeypatch.setattr("gemini_lite.many.worker.Transport",
                        lambda auth: made.append(auth) or Transport(auth))
    settings = {"backend": functools.partial(DeveloperAPI, base_url=echoing.url), "key_env": "MY_KEY",
                **fields(echoing.url)}
    monkeypatch.setenv("MY_KEY", KEY)
    recipe, other = Recipe(**settings), Recipe(**settings)
    assert recipe == other
    with ThreadPoolExecutor(1) as executor:
        assert len(list(recipe.map(["x"] * 20, executor=executor, chunk=5))) == 20
    copy.copy(recipe).answer(["x"])
    assert len(made) == 1
    other.answer(["x"])
    assert len(made) == 2


@pytest.mark.parametrize("value", [KEY, "AIzaSyA0123456789abcdefghijkABCDEFGHIJK", "ya29abc", "two words", ""])
def test_what_looks_like_a_key_is_refused_as_key_env_without_being_repeated(value):
    with pytest.raises(ValueError) as caught:
        Recipe(key_env=value)
    assert not value or value not in str(caught.value)
    trace = caught.value.__traceback__
    while trace.tb_next:
        trace = trace.tb_next
    assert not value or value not in repr(trace.tb_frame.f_locals)


def test_what_would_take_a_key_along_is_refused():
    with pytest.raises(ValueError, match="hold no key"):
        Recipe(backend=functools.partial(DeveloperAPI, api_key=KEY))
    with pytest.raises(TypeError, match="holds credentials"):
        Recipe(backend=DeveloperAPI(KEY))
    with pytest.raises(ValueError, match="key_env and key_file exclude"):
        Recipe(key_env="A", key_file="b")
    assert Recipe(backend=CodeAssist).backend is CodeAssist


def test_a_recipe_is_frozen_and_has_its_options():
    recipe = Recipe(GeminiOptions(temperature=0))
    with pytest.raises(AttributeError):
        recipe.concurrency = 5
    assert recipe.options.temperature == 0


def test_a_column_is_added_to_a_dict_of_columns_and_to_an_iterator_of_them(recipe):
    ask = pickle.loads(pickle.dumps(recipe.column("text", into="answer", error="why")))
    batch = {"text": ["a", "bad", "a"], "id": [1, 2, 3]}
    found = ask(batch)
    assert found["answer"] == ["answer to a", None, "answer to a"] and found["id"] == [1, 2, 3]
    assert found["why"][0] is None and "bad" in found["why"][1]
    assert set(batch) == {"text", "id"}
    assert [frame["answer"] for frame in ask(iter([batch, batch]))] == [found["answer"]] * 2


def test_without_a_column_for_errors_the_first_is_raised(recipe):
    with pytest.raises(Exception, match="bad"):
        recipe.column("text", into="answer")({"text": ["a", "bad"]})


class Table:
    """What pandas, polars and pyarrow have in common: it is iterated by columns."""

    columns = ("text",)

    def __iter__(self):
        return iter(self.columns)

    def __getitem__(self, name):
        return ["a"]


class Texts(list):
    """A column of polars."""

    def __init__(self, name, values):
        super().__init__(values)

    def __getitem__(self, place):
        return Texts("", super().__getitem__(place)) if isinstance(place, slice) else super().__getitem__(place)


class PolarsFrame(Table):
    def __getitem__(self, name):
        return ("a", "bad")

    def to_series(self):
        return Texts("text", ["a", "bad"])

    def with_columns(self, columns):
        assert all(type(column) is Texts for column in columns)
        return [list(column) for column in columns]


@pytest.mark.parametrize("prompts", ["What?", b"What?", {"prompt": "What?"}, Table()],
                         ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("ask", [
    lambda recipe, client, prompts: recipe.answer(prompts),
    lambda recipe, client, prompts: recipe.map(prompts, executor=None),
    lambda recipe, client, prompts: recipe.column("text", into="answer")({"text": prompts}),
    lambda recipe, client, prompts: list(client.map(prompts)),
    lambda recipe, client, prompts: client.map_to(os.devnull, prompts),
    lambda recipe, client, prompts: client.batch_to(os.devnull, prompts),
    lambda recipe, client, prompts: client.batches.write_requests(os.devnull + "s", prompts),
], ids=["answer", "recipe.map", "column", "map", "map_to", "batch_to", "write_requests"])
def test_what_is_one_prompt_or_a_table_is_not_taken_for_many(recipe, echoing, ask, prompts):
    client = GeminiClient(backend=DeveloperAPI(KEY, base_url=echoing.url))
    with pytest.raises(TypeError, match="prompts is"):
        ask(recipe, client, prompts)
    assert echoing.requests == []


@pytest.mark.parametrize("frame", [Table(), ["a"], ("a",), iter([Table()])],
                         ids=["table", "list", "tuple", "iterator"])
def test_what_takes_no_column_is_refused_before_it_is_paid_for(recipe, echoing, frame):
    with pytest.raises(TypeError, match="a column cannot be added"):
        list(recipe.column("text", into="answer")(frame))
    assert echoing.requests == []


def test_answers_in_polars_are_texts_whatever_the_prompts_are(recipe):
    ask = recipe.column("text", into="answer", error="why")
    answers, errors = ask(PolarsFrame())
    assert answers == ["answer to a", None] and errors[0] is None and "bad" in errors[1]


@pytest.mark.parametrize("names", [{"into": 5}, {"into": "a", "error": "a"}, {"into": "a", "error": 5}])
def test_the_columns_have_two_names(recipe, names):
    with pytest.raises(ValueError, match="names of two columns"):
        recipe.column("text", **names)


class Number:
    """A whole number of numpy's."""

    def __init__(self, value):
        self.value = value

    def __str__(self):
        return str(self.value)


Integral.register(Number)


@pytest.mark.parametrize("chunk", [1, 2, 100])
def test_each_prompt_has_the_key_it_was_given_or_its_place(recipe, chunk):
    prompts = [(Number(7), "a"), {"key": None, "prompt": "b"}, {"key": Number(8), "prompt": "c"}, "d", (9, "e"),
               {"key": None, "prompt": "f"}]
    with ThreadPoolExecutor(2) as executor:
        results = list(recipe.map(prompts, executor=executor, chunk=chunk))
    assert [result.key for result in results] == ["7", "1", "8", "3", "9", "5"]
    assert [result.text for result in results] == [f"answer to {letter}" for letter in "abcdef"]


def test_the_environment_is_not_part_of_a_recipe(recipe):
    assert os.environ["MY_KEY"] not in repr(recipe)
