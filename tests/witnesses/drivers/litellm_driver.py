"""litellm with its provider "gemini"."""
import json
import os

import httpx
from driver import (
    CALLS, EMBEDDING_MODEL, KEY, MODEL, PARAMETERS, PROMPT, SCHEMA, TEXTS, URL, cut, error, redirect, run, weather)

# Its prices and its tokenizer come with it; some of its calls take the address by argument, others by variable.
os.environ.update(LITELLM_LOCAL_MODEL_COST_MAP="True", GEMINI_API_KEY=KEY, GEMINI_API_BASE=URL)
import litellm  # noqa: E402
from litellm import interactions as litellm_interactions  # noqa: E402

litellm.suppress_debug_info = True
MESSAGES = [{"role": "user", "content": PROMPT}]
TOOLS = [{"type": "function", "function": {
    "name": "weather", "description": weather.__doc__, "parameters": PARAMETERS}}]
GEMINI = {"custom_llm_provider": "gemini", "api_key": KEY}


def ask(messages=MESSAGES, **options):
    return litellm.completion(f"gemini/{MODEL}", messages, api_key=KEY, api_base=f"{URL}/v1beta", **options)


def text():
    return ask().choices[0].message.content


def pieces():
    for chunk in ask(stream=True):
        if chunk.choices[0].delta.content:
            yield chunk.choices[0].delta.content


def tools():
    message = ask(tools=TOOLS).choices[0].message
    results = [{"role": "tool", "tool_call_id": call.id, "content": weather(**json.loads(call.function.arguments))}
               for call in message.tool_calls]
    return {"calls": CALLS, "text": ask([*MESSAGES, message, *results], tools=TOOLS).choices[0].message.content}


def as_json():
    schema = {"type": "json_schema", "json_schema": {"name": "person", "schema": SCHEMA}}
    return json.loads(ask(response_format=schema).choices[0].message.content)


async def count():
    return (await litellm.acount_tokens(f"gemini/{MODEL}", MESSAGES, api_key=KEY, api_base=URL)).total_tokens


def models():
    return litellm.get_valid_models(check_provider_endpoint=True, **GEMINI)


def error_of():
    try:
        ask()
    except Exception as caught:
        return error(caught, caught.status_code)


def embeddings():
    found = litellm.embedding(f"gemini/{EMBEDDING_MODEL}", TEXTS, api_key=KEY, api_base=f"{URL}/v1beta")
    return [each["embedding"] for each in found.data]


def files():
    file = litellm.create_file(("note.txt", b"hello files", "text/plain"), "user_data", **GEMINI)
    again = litellm.file_retrieve(file.id, **GEMINI)
    parts = [{"type": "file", "file": {"file_id": again.id, "format": "text/plain"}}, {"type": "text", "text": PROMPT}]
    answer = ask([{"role": "user", "content": parts}]).choices[0].message.content
    litellm.file_delete(file.id, **GEMINI)
    return {"name": "files/" + again.id.rpartition("/")[2], "size": again.bytes, "answer": answer}


def caches():
    """Keeps them at Google's own address only, and looks there for a cache of the same text before it makes one."""
    del os.environ["GEMINI_API_BASE"]
    redirect(httpx.Client)
    long_text = {"type": "text", "text": "A long text. " * 500, "cache_control": {"type": "ephemeral"}}
    messages = [{"role": "user", "content": [long_text]}, {"role": "assistant", "content": "Yes?"}, *MESSAGES]
    return {"answer": litellm.completion(f"gemini/{MODEL}", messages, api_key=KEY).choices[0].message.content}


def interactions():
    made = litellm_interactions.create(model=f"gemini/{MODEL}", input=PROMPT, api_key=KEY)
    events = [event.event_type for event in litellm_interactions.create(
        model=f"gemini/{MODEL}", input=PROMPT, stream=True, api_key=KEY)]
    again = litellm_interactions.get(made.id, **GEMINI)
    litellm_interactions.delete(made.id, **GEMINI)
    return {"text": output(made), "again": output(again), "events": events}


def output(made):
    return "".join(part["text"] for step in made.steps for part in step["content"])


run(text=text, stream=lambda: list(pieces()), tools=tools, JSON=as_json, count=count, models=models, errors=error_of,
    cut=lambda: cut(pieces()), embeddings=embeddings, files=files, caches=caches, interactions=interactions)
