"""The command line: a prompt in, an answer out."""
from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import Any, Callable, Dict, Iterator, List, Optional

from .. import CodeAssist, DeveloperAPI, GeminiClient, GeminiError
from . import arguments
from .inputs import Inputs, options, tools
from .printer import Printer, tell


def main(argv: Optional[List[str]] = None) -> int:
    """Run the command and return its exit code."""
    parser, given = arguments.parse(sys.argv[1:] if argv is None else argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # an answer may hold what the terminal cannot show
    try:
        return _COMMANDS[given.command](given)
    except _NoPrompt:
        parser.error("no prompt: give one as an argument or on standard input")
    except OSError as error:  # standard output: nobody reads on, or the disk is full
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the flush at exit fails once more
        if isinstance(error, BrokenPipeError):
            return 0
        tell(f"the answer could not be written: {error.strerror}")
        return 1
    except KeyboardInterrupt:
        return 130
    except GeminiError as error:
        tell(str(error))
        return 1
    except (ValueError, TypeError) as error:
        tell(str(error))
        return 2


class _NoPrompt(Exception):
    """There is nothing to ask."""


def _prompt(given: Any) -> int:
    """Ask once."""
    from .session import Talk
    inputs = Inputs()
    with _client(given) as client:
        schema = inputs.schema(given.schema) if given.schema else None
        talk = Talk(client, options(given, response_schema=schema), given.save, given.resume)
        prompt = inputs.prompt(given.words, given.attach)
        if not prompt:
            raise _NoPrompt
        printer = Printer(given.output, thinking=given.thinking, rich=not given.no_rich and schema is None)
        if given.no_stream or given.output == "json":
            with contextlib.redirect_stdout(sys.stderr):  # what a tool prints is no part of the answer
                response = talk.chat.send_message(prompt)
            printer.whole(response)
        else:
            response = printer.stream(talk.chat.send_message_stream(prompt))
        if schema is not None:
            response.parsed  # or the error
        talk.save()
    return 0


def _chat(given: Any) -> int:
    """A conversation, until there is no more input."""
    from .repl import Repl
    with _client(given) as client:
        return Repl(client, given).run()


def _models(given: Any) -> int:
    with _client(given) as client:
        try:
            models = client.models()
        except ValueError:  # Code Assist
            raise ValueError("this backend has no list of models: 'gemini-lite quota' names those that you have a "
                             "quota for") from None
    if given.output == "json":
        Printer().data(models)
    else:
        Printer().table(("model", "input tokens", "output tokens"), [
            (str(model.get("name")).replace("models/", "", 1), model.get("inputTokenLimit"),
             model.get("outputTokenLimit")) for model in models])
    return 0


def _count(given: Any) -> int:
    with _client(given) as client:
        prompt = Inputs().prompt(given.words, given.attach)
        if not prompt:
            raise _NoPrompt
        count = client.count_tokens(prompt, model=given.model, system_prompt=given.system, tools=tools(given.tool))
    if given.output == "json":
        Printer().data({"totalTokens": count}, None)
    else:
        print(count, flush=True)
    return 0


def _quota(given: Any) -> int:
    with _client(given) as client:
        quota = client.quota()
    if given.output == "json":
        Printer().data([{**item._asdict(), "reset_time": item.reset_time and item.reset_time.isoformat()}
                        for item in quota])
    else:
        Printer().table(("model", "left", "amount", "of", "comes back"), [
            (item.model, None if item.remaining_fraction is None else f"{100 * item.remaining_fraction:.0f}%",
             item.remaining_amount, item.token_type, item.reset_time) for item in quota])
    return 0


def _doctor(given: Any) -> int:
    from .doctor import examine
    return examine(lambda: _client(given, retries=0, timeout=(10, 30)), given.demo)


_COMMANDS: Dict[str, Callable[[Any], int]] = {
    "prompt": _prompt, "chat": _chat, "models": _models, "count": _count, "quota": _quota, "doctor": _doctor,
}


@contextlib.contextmanager
def _client(given: Any, **settings: Any) -> Iterator[GeminiClient]:
    if not given.demo:
        with GeminiClient(**settings) as client:
            yield client
        return
    from ..demo import demo
    tell("demo: a stand-in on 127.0.0.1 answers, over real HTTP; there is no model behind it")
    with demo() as fake:
        backend = CodeAssist(lambda: "demo", endpoints=[fake.url]) if given.command == "quota" \
            else DeveloperAPI("demo", base_url=fake.url)
        with GeminiClient(backend=backend, **settings) as client:
            yield client
