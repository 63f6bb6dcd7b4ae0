"""google-genai, as a blocking client."""
import io
import time

from driver import CALLS, EMBEDDING_MODEL, KEY, MODEL, PROMPT, SCHEMA, TEXTS, URL, cut, error, run, weather
from google import genai
from google.genai import errors

client = genai.Client(api_key=KEY, http_options={"base_url": URL})


def text():
    return client.models.generate_content(model=MODEL, contents=PROMPT).text


def pieces():
    for chunk in client.models.generate_content_stream(model=MODEL, contents=PROMPT):
        yield chunk.text


def tools():
    answer = client.models.generate_content(model=MODEL, contents=PROMPT, config={"tools": [weather]})
    return {"calls": CALLS, "text": answer.text}


def as_json():
    config = {"response_mime_type": "application/json", "response_json_schema": SCHEMA}
    return client.models.generate_content(model=MODEL, contents=PROMPT, config=config).parsed


def count():
    return client.models.count_tokens(model=MODEL, contents=PROMPT).total_tokens


def models():
    return [model.name for model in client.models.list()]


def error_of():
    try:
        text()
    except errors.APIError as caught:
        return error(caught, caught.code, caught.message)


def embeddings():
    found = client.models.embed_content(model=EMBEDDING_MODEL, contents=TEXTS)
    return [each.values for each in found.embeddings]


def files():
    file = client.files.upload(file=io.BytesIO(b"hello files"), config={"mime_type": "text/plain"})
    answer = client.models.generate_content(model=MODEL, contents=[file, PROMPT]).text
    listed = [each.name for each in client.files.list()]
    client.files.delete(name=file.name)
    return {"name": file.name, "size": file.size_bytes, "answer": answer, "listed": listed}


def caches():
    cache = client.caches.create(model=MODEL, config={"contents": "A long text.", "ttl": "60s"})
    longer = client.caches.update(name=cache.name, config={"ttl": "7200s"})
    config = {"cached_content": cache.name}
    answer = client.models.generate_content(model=MODEL, contents=PROMPT, config=config).text
    listed = [each.name for each in client.caches.list()]
    client.caches.delete(name=cache.name)
    return {"name": cache.name, "longer": longer.expire_time > cache.expire_time, "answer": answer, "listed": listed}


def batches():
    job = client.batches.create(model=MODEL, src=[
        {"contents": PROMPT, "metadata": {"key": key}} for key in ("a", "b")])
    while not job.done:
        time.sleep(0.01)
        job = client.batches.get(name=job.name)
    return sorted(each.response.text for each in job.dest.inlined_responses)


def interactions():
    made = client.interactions.create(model=MODEL, input=PROMPT)
    events = [event.event_type for event in client.interactions.create(model=MODEL, input=PROMPT, stream=True)]
    again = client.interactions.get(made.id).output_text
    client.interactions.delete(made.id)
    return {"text": made.output_text, "again": again, "events": events}


run(text=text, stream=lambda: list(pieces()), tools=tools, JSON=as_json, count=count, models=models,
    errors=error_of, cut=lambda: cut(pieces()), embeddings=embeddings, files=files, caches=caches,
    batches=batches, interactions=interactions)
