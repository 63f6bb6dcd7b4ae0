"""What a type checker must accept, with the types that a reader expects. Never run."""
import dataclasses
import pathlib
from typing import Any, Dict, Iterator, List, Optional

import gemini_lite
from gemini_lite import (
    Chat, CodeAssist, DeveloperAPI, GeminiClient, GeminiError, GeminiOptions, GenerateContentResponse, Interaction,
    Result, Stream, StreamChunk, Tool, query, read_results,
)
from gemini_lite.openai_compat import OpenAIChat
from gemini_lite.testing import FakeGemini


@dataclasses.dataclass
class Person:
    name: str
    aliases: List[str]


def weather(city: str) -> Dict[str, str]:
    """The weather."""
    return {"sky": "clear"}


client = GeminiClient(GeminiOptions(model="m"), temperature=0, timeout=(5, 60), retries=2, deadline=30)
GeminiClient(api_key="k", system_prompt=["Be brief.", {"text": "Be kind."}], tools=[weather, {"googleSearch": {}}])
GeminiClient(backend=DeveloperAPI("k", base_url="http://127.0.0.1:9"))
GeminiClient(backend=CodeAssist(project="my-project"))
GeminiClient(credentials_path=pathlib.Path("creds.json"))


# A response whose schema nobody cares about needs no brackets
def first_line(response: GenerateContentResponse) -> str:
    return response.text.splitlines()[0]


def pieces(stream: Stream) -> Iterator[str]:
    with stream:
        for chunk in stream:
            yield delta(chunk)


def delta(chunk: StreamChunk) -> str:
    return chunk.text_delta


def ask(chat: Chat, prompt: str, **settings: Any) -> GenerateContentResponse:
    return chat.send_message(prompt, **settings)


# What .parsed is
def parsed() -> None:
    person: Person = client.generate("Hi", response_schema=Person).parsed
    name: str = client.stream("Hi", response_schema=Person).response.parsed.name
    people: List[Person] = client.send_message("Hi", response_schema=List[Person]).parsed
    number: int = query("Hi", response_schema=int).parsed
    table: Dict[str, int] = client.generate("Hi", response_schema=Dict[str, int]).parsed
    anything = client.generate("Hi", response_schema={"type": "object"}).parsed
    maybe: Any = client.generate("Hi", response_schema=Optional[Person]).parsed
    plain = client.generate("Hi").parsed
    for chunk in client.stream("Hi", response_schema=Person):
        piece: StreamChunk[Person] = chunk
        print(piece.text_delta)
    print(person.name, name, people[0].name, number + 1, table["a"], anything["a"], maybe, plain["a"])
    for result in client.map(["Hi"], response_schema=Person):
        answered: GenerateContentResponse[Person] = result.unwrap()
        print(answered.parsed.name, result.parsed.name)
    names = [result.unwrap().parsed.name for result in read_results("out.jsonl", response_schema=Person)]
    interaction: Interaction[Person] = client.interactions.wait(
        client.interactions.create("Hi", response_schema=Person, background=True), poll=5)
    wider: GenerateContentResponse[Optional[Person]] = client.generate("Hi", response_schema=Person)
    print(names, interaction, wider)


def answer_calls(interaction: Interaction) -> Interaction:
    results = [(call.name, {"answer": 1}, call.id) for call in interaction.function_calls]
    return client.interactions.create(results, previous_interaction=interaction)


def show(result: Result) -> str:
    return result.text or str(result.error)


class MyClient(GeminiClient):
    def shout(self, prompt: str) -> str:
        return self.generate(prompt).text.upper()


def rooms() -> None:
    with MyClient(api_key="k") as mine:
        print(mine.shout("Hi"), gemini_lite.__version__, gemini_lite.media.from_bytes(b"x", "image/png"))
    with FakeGemini() as fake:
        print(fake.url, OpenAIChat(client).chat.completions.create(messages=[]))
    data: bytes = client.files.download("files/x")
    path: pathlib.Path = client.files.download("files/x", "there.mp4")
    client.map(["Hi"], progress=lambda stats: stats.answered > 5)
    client.batch_to("out.jsonl", ["Hi"], poll=30)
    print(data, path)


def calls() -> None:
    client.generate("Hi", temperature=0, top_p=0.5, max_output_tokens=5, stop_sequences=["END"], seed=1, model=None)
    client.generate(["What?", pathlib.Path("cat.png"), (b"%PDF", "application/pdf"), {"text": "Hi"}])
    prompt = ["What?", pathlib.Path("cat.png"), (b"%PDF", "application/pdf")]
    client.generate(prompt)
    client.generate([{"role": "user", "parts": [{"text": "Hi"}]}])
    client.generate("Hi", deadline=5, timeout=5, retries=0, tools=[weather, Tool("f")], max_tool_rounds=0)
    client.generate("Hi", thinking_budget=1024, include_thoughts=True, extra={"generationConfig": {}}, labels=None)
    client.generate("Hi", response_modalities=["TEXT"], media_resolution="low", image_config={"aspectRatio": "1:1"})
    client.generate("Hi", speech_config="Kore", response_logprobs=True, logprobs=3, tool_choice=["weather"])
    client.stream("Hi", timeout=(1, 2.5), system_prompt="Be brief.")
    chat = client.chat([{"role": "user", "parts": [{"text": "Hi"}]}], temperature=0, deadline=5)
    response = chat.send_message("Hi", response_schema=Person)
    results = [(call.name, {"answer": 1}, call.id) for call in response.function_calls]
    chat.send_tool_results(results, temperature=0)
    chat.send_tool_result_stream("f", "text", "id", retries=1)
    turns: List[Dict[str, Any]] = chat.history
    tokens: int = client.count_tokens("Hi", tools=[weather]) + len(turns)
    names = [model["name"] for model in client.models()]
    print(tokens, names, response.usage_metadata.total_token_count, response.finish_reason or "")


def backend() -> str:
    assert client.options.temperature is not None
    return client.backend.path("generateContent", client.backend.default_model)


def failing() -> None:
    try:
        query("Hi", "gemini-flash-latest", api_key="k")
    except GeminiError as error:
        seconds: Optional[float] = error.retry_after
        limit = error.quota.value if error.quota else None
        print(error.code, seconds, limit)
