"""llm with its plugin llm-gemini, which has Google's address in it: here its requests go to the stand-in instead."""
import json
import os

import httpx
from driver import CALLS, EMBEDDING_MODEL, KEY, MODEL, PROMPT, SCHEMA, TEXTS, cut, error, redirect, run, weather

redirect(httpx.Client)
os.environ.update(LLM_GEMINI_KEY=KEY, LLM_USER_PATH=os.path.join(os.environ["HOME"], "llm"))
import llm  # noqa: E402
from click.testing import CliRunner  # noqa: E402
from llm.cli import cli  # noqa: E402

model = llm.get_model(MODEL)


def command(*words):
    """What the command line prints, as JSON."""
    return json.loads(CliRunner().invoke(cli, words, catch_exceptions=False).stdout)


def tools():
    return {"text": model.chain(PROMPT, tools=[weather]).text(), "calls": CALLS}


def error_of():
    try:
        model.prompt(PROMPT).text()
    except Exception as caught:
        return error(caught, None)


run(text=lambda: model.prompt(PROMPT, stream=False).text(), stream=lambda: list(model.prompt(PROMPT)), tools=tools,
    JSON=lambda: json.loads(model.prompt(PROMPT, schema=SCHEMA).text()),
    models=lambda: [each["name"] for each in command("gemini", "models")], errors=error_of,
    cut=lambda: cut(model.prompt(PROMPT)),
    embeddings=lambda: [list(each) for each in llm.get_embedding_model(EMBEDDING_MODEL).embed_multi(TEXTS)],
    files=lambda: {"listed": [each["name"] for each in command("gemini", "files")]})
