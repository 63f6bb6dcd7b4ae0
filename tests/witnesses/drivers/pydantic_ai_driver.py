"""pydantic-ai with its models of Google's."""
import datetime

from driver import (
    CALLS, EMBEDDING_MODEL, KEPT_CACHE, KEPT_FILE, KEY, MODEL, PROMPT, TEXTS, URL, cut_async, error, run, weather)
from pydantic import BaseModel
from pydantic_ai import Agent, ModelRequest, NativeOutput, UploadedFile
from pydantic_ai.direct import model_request_batch
from pydantic_ai.embeddings import Embedder
from pydantic_ai.embeddings.google import GoogleEmbeddingModel
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.batch import BatchRequest
from pydantic_ai.models.google import GoogleModel
from pydantic_ai.providers.google import GoogleProvider

provider = GoogleProvider(api_key=KEY, base_url=URL)
model = GoogleModel(MODEL, provider=provider)
agent = Agent(model)


class Person(BaseModel):
    name: str
    age: int


async def text():
    return (await agent.run(PROMPT)).output


async def pieces():
    async with agent.run_stream(PROMPT) as answer:
        async for piece in answer.stream_text(delta=True, debounce_by=None):
            yield piece


async def stream():
    return [piece async for piece in pieces()]


async def tools():
    return {"text": (await Agent(model, tools=[weather]).run(PROMPT)).output, "calls": CALLS}


async def as_json():
    return (await Agent(model, output_type=NativeOutput(Person)).run(PROMPT)).output.model_dump()


async def count():
    asked = [ModelRequest.user_text_prompt(PROMPT)]
    return (await model.count_tokens(asked, None, ModelRequestParameters())).input_tokens


async def error_of():
    try:
        await text()
    except Exception as caught:
        return error(caught, caught.status_code)


async def embeddings():
    embedder = Embedder(GoogleEmbeddingModel(EMBEDDING_MODEL, provider=provider))
    return [list(each) for each in (await embedder.embed_documents(TEXTS)).embeddings]


async def files():
    file = UploadedFile(KEPT_FILE, provider_name="google", media_type="text/plain")
    return {"answer": (await agent.run([file, PROMPT])).output}


async def caches():
    return {"answer": (await agent.run(PROMPT, model_settings={"google_cached_content": KEPT_CACHE})).output}


async def batches():
    asked = [BatchRequest(custom_id=key, messages=[ModelRequest.user_text_prompt(PROMPT)]) for key in ("a", "b")]
    soon = datetime.timedelta(seconds=0.01)
    return [each.text for each in await model_request_batch(model, asked, poll_interval=soon)]


run(text=text, stream=stream, tools=tools, JSON=as_json, count=count, errors=error_of,
    cut=lambda: cut_async(pieces()), embeddings=embeddings, files=files, caches=caches, batches=batches)
