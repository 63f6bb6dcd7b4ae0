"""google-genai, as a client for asyncio."""
import asyncio
import io

from driver import CALLS, EMBEDDING_MODEL, KEY, MODEL, PROMPT, SCHEMA, TEXTS, URL, cut_async, error, run, weather
from google import genai
from google.genai import errors

client = genai.Client(api_key=KEY, http_options={"base_url": URL}).aio


async def text():
    return (await client.models.generate_content(model=MODEL, contents=PROMPT)).text


async def pieces():
    async for chunk in await client.models.generate_content_stream(model=MODEL, contents=PROMPT):
        yield chunk.text


async def stream():
    return [piece async for piece in pieces()]


async def tools():
    answer = await client.models.generate_content(model=MODEL, contents=PROMPT, config={"tools": [weather]})
    return {"calls": CALLS, "text": answer.text}


async def as_json():
    config = {"response_mime_type": "application/json", "response_json_schema": SCHEMA}
    return (await client.models.generate_content(model=MODEL, contents=PROMPT, config=config)).parsed


async def count():
    return (await client.models.count_tokens(model=MODEL, contents=PROMPT)).total_tokens


async def models():
    return [model.name async for model in await client.models.list()]


async def error_of():
    try:
        await text()
    except errors.APIError as caught:
        return error(caught, caught.code, caught.message)


async def embeddings():
    found = await client.models.embed_content(model=EMBEDDING_MODEL, contents=TEXTS)
    return [each.values for each in found.embeddings]


async def files():
    file = await client.files.upload(file=io.BytesIO(b"hello files"), config={"mime_type": "text/plain"})
    answer = (await client.models.generate_content(model=MODEL, contents=[file, PROMPT])).text
    listed = [each.name async for each in await client.files.list()]
    await client.files.delete(name=file.name)
    return {"name": file.name, "size": file.size_bytes, "answer": answer, "listed": listed}


async def caches():
    cache = await client.caches.create(model=MODEL, config={"contents": "A long text.", "ttl": "60s"})
    longer = await client.caches.update(name=cache.name, config={"ttl": "7200s"})
    config = {"cached_content": cache.name}
    answer = (await client.models.generate_content(model=MODEL, contents=PROMPT, config=config)).text
    listed = [each.name async for each in await client.caches.list()]
    await client.caches.delete(name=cache.name)
    return {"name": cache.name, "longer": longer.expire_time > cache.expire_time, "answer": answer, "listed": listed}


async def batches():
    job = await client.batches.create(model=MODEL, src=[
        {"contents": PROMPT, "metadata": {"key": key}} for key in ("a", "b")])
    while not job.done:
        await asyncio.sleep(0.01)
        job = await client.batches.get(name=job.name)
    return sorted(each.response.text for each in job.dest.inlined_responses)


async def interactions():
    made = await client.interactions.create(model=MODEL, input=PROMPT)
    streamed = await client.interactions.create(model=MODEL, input=PROMPT, stream=True)
    events = [event.event_type async for event in streamed]
    again = (await client.interactions.get(made.id)).output_text
    await client.interactions.delete(made.id)
    return {"text": made.output_text, "again": again, "events": events}


run(text=text, stream=stream, tools=tools, JSON=as_json, count=count, models=models, errors=error_of,
    cut=lambda: cut_async(pieces()), embeddings=embeddings, files=files, caches=caches, batches=batches,
    interactions=interactions)
