"""The entry point of the command line: runs a command and turns every failure into a line and an exit code."""
from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import Any, Callable, Dict, Iterator, List, Optional

from .. import CodeAssist, DeveloperAPI, GeminiClient, GeminiError
from . import api_commands
from .arguments import Arguments, parse_arguments
from .inputs import Inputs
from .printer import Printer
from .request_options import build_options, import_tools
from .standard_error import print_status


def main(argv: Optional[List[str]] = None) -> int:
    """Run the command in `argv`, by default that of the process, and return its exit code."""
    parser, arguments = parse_arguments(sys.argv[1:] if argv is None else argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # an answer may hold what the terminal cannot show
    try:
        return _COMMANDS[arguments.command](arguments)
    except _NoPromptError:
        parser.error("no prompt: give one as an argument or on standard input")
    except OSError as error:  # files and the network have errors of their own: this is standard output
        return _report_failed_output(error)
    except KeyboardInterrupt:
        return 130
    except GeminiError as error:
        print_status(str(error))
        return 1
    except (ValueError, TypeError) as error:
        print_status(str(error))
        return 2


class _NoPromptError(Exception):
    """Neither the arguments nor standard input hold a prompt."""


def _report_failed_output(error: OSError) -> int:
    """The exit code when standard output cannot be written: 0 if its reader has closed it, else 1 with a notice."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python's flush at exit would fail again
    if isinstance(error, BrokenPipeError):
        return 0
    print_status(f"the answer could not be written: {error.strerror}")
    return 1


def _run_prompt(arguments: Arguments) -> int:
    from .current_chat import CurrentChat
    inputs = Inputs()
    with _open_client(arguments) as client:
        schema = inputs.load_schema(arguments.schema) if arguments.schema else None
        current = CurrentChat(client, build_options(arguments, response_schema=schema), save_as=arguments.save,
                              resume=arguments.resume)
        prompt = inputs.build_prompt(arguments.words, arguments.attach)
        if not prompt:
            raise _NoPromptError
        printer = Printer(arguments.output, thinking=arguments.thinking, rich=not arguments.no_rich and schema is None)
        if arguments.no_stream or arguments.output == "json":
            with contextlib.redirect_stdout(sys.stderr):  # what a tool prints is no part of the answer
                response = current.chat.send_message(prompt)
            printer.print_response(response)
        else:
            response = printer.print_stream(current.chat.send_message_stream(prompt))
        if schema is not None:
            response.parsed  # raises before the chat is saved if the answer is not JSON that fits
        current.save()
    return 0


def _run_chat(arguments: Arguments) -> int:
    from .chat_loop import ChatLoop
    with _open_client(arguments) as client:
        return ChatLoop(client, arguments).run()


def _run_models(arguments: Arguments) -> int:
    with _open_client(arguments) as client:
        try:
            models = client.models()
        except ValueError:  # Code Assist
            raise ValueError("this backend has no list of models: 'gemini-lite quota' names those that you have a "
                             "quota for") from None
    if arguments.output == "json":
        Printer().print_json(models)
    else:
        Printer().print_table(("model", "input tokens", "output tokens"), [
            (str(model.get("name")).replace("models/", "", 1), model.get("inputTokenLimit"),
             model.get("outputTokenLimit")) for model in models])
    return 0


def _run_count(arguments: Arguments) -> int:
    with _open_client(arguments) as client:
        prompt = Inputs().build_prompt(arguments.words, arguments.attach)
        if not prompt:
            raise _NoPromptError
        count = client.count_tokens(prompt, model=arguments.model, system_prompt=arguments.system,
                                    tools=import_tools(arguments.tool))
    if arguments.output == "json":
        Printer().print_json({"totalTokens": count}, None)
    else:
        print(count, flush=True)
    return 0


def _run_quota(arguments: Arguments) -> int:
    with _open_client(arguments) as client:
        quotas = client.quota()
    if arguments.output == "json":
        Printer().print_json([{**quota._asdict(), "reset_time": quota.reset_time and quota.reset_time.isoformat()}
                              for quota in quotas])
    else:
        Printer().print_table(("model", "left", "amount", "of", "comes back"), [
            (quota.model, None if quota.remaining_fraction is None else f"{100 * quota.remaining_fraction:.0f}%",
             quota.remaining_amount, quota.token_type, quota.reset_time) for quota in quotas])
    return 0


def _run_doctor(arguments: Arguments) -> int:
    from .doctor import run_doctor
    return run_doctor(lambda: _open_client(arguments, retries=0, timeout=(10, 30)), is_demo=arguments.demo)


def _run_files(arguments: Arguments) -> int:
    return api_commands.run_files(arguments, _open_client)


def _run_caches(arguments: Arguments) -> int:
    return api_commands.run_caches(arguments, _open_client)


def _run_embed(arguments: Arguments) -> int:
    return api_commands.run_embed(arguments, _open_client)


_COMMANDS: Dict[str, Callable[[Arguments], int]] = {
    "prompt": _run_prompt, "chat": _run_chat, "models": _run_models, "count": _run_count, "quota": _run_quota,
    "doctor": _run_doctor,
    "files": _run_files, "caches": _run_caches, "embed": _run_embed,
}


@contextlib.contextmanager
def _open_client(arguments: Arguments, **settings: Any) -> Iterator[GeminiClient]:
    """A client with these `settings`; with --demo one for a stand-in server that runs as long as the client is open."""
    if not arguments.demo:
        with GeminiClient(**settings) as client:
            yield client
        return
    from ..demo import demo
    print_status("demo: a stand-in on 127.0.0.1 answers, over real HTTP; there is no model behind it")
    with demo() as server:
        backend = CodeAssist(lambda: "demo", endpoints=[server.url]) if arguments.command == "quota" \
            else DeveloperAPI("demo", base_url=server.url)
        with GeminiClient(backend=backend, **settings) as client:
            yield client
