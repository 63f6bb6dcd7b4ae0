"""The entry point of the command line: runs a command and turns every failure into a line and an exit code."""
from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from typing import Any, Callable, Dict, Iterator, List, Optional, cast

from .. import CodeAssist, DeveloperAPI, GeminiClient, GeminiError
from ..auth.api_key import DEMO_KEY
from . import saved
from .arguments import Arguments, parse_arguments
from .inputs import Inputs, file_notices
from .output import open_output
from .printer import Printer
from .request_options import build_options
from .standard_error import discard, print_status
from .wait_line import log_notices


def main(argv: Optional[List[str]] = None) -> int:
    """Run the command in `argv`, by default that of the process, and return its exit code."""
    with _missing_streams():
        parser, arguments = parse_arguments(sys.argv[1:] if argv is None else argv)
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # an answer may hold what the terminal cannot show
        try:
            with log_notices(warnings=arguments.command != "doctor"):  # which says them itself
                return _run(arguments)
        except _NoPromptError:
            parser.error("no prompt: give one as an argument or on standard input")
        except OSError as error:
            return _report_os_error(error)
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


@contextlib.contextmanager
def _missing_streams() -> Iterator[None]:
    """Put something in the place of a standard input, output and error that were closed at the start."""
    with contextlib.ExitStack() as stack:
        if sys.stdin is None:
            sys.stdin = stack.enter_context(open(os.devnull))
            stack.callback(setattr, sys, "stdin", None)
        if sys.stderr is None:
            stack.enter_context(contextlib.redirect_stderr(stack.enter_context(open(os.devnull, "w"))))
        if sys.stdout is None:
            stack.enter_context(contextlib.redirect_stdout(_ClosedOutput()))
        yield


class _ClosedOutput(io.StringIO):
    """Standard output where there is none: the first write fails."""

    def write(self, text: str) -> int:
        raise OSError(errno.EBADF, "standard output is closed")


def _run(arguments: Arguments) -> int:
    for notice in [*arguments.notices, *file_notices(getattr(arguments, "words", []))]:
        print_status(notice)
    output = getattr(arguments, "output", None)
    if output is not None and output.endswith(".json") and arguments.command != "prompt":
        arguments.format = "json"  # a prompt's answer may be JSON of its own
    if output is None and isinstance(sys.stdout, _ClosedOutput):
        raise OSError(errno.EBADF, "standard output is closed")  # before anything is paid for
    with open_output(output), saved.with_demo(arguments.demo):
        return _COMMANDS[arguments.command](arguments)


def _report_os_error(error: OSError) -> int:
    """The exit code: 0 if the reader of standard output has closed it, else 1 with a notice of what failed."""
    if error.filename is not None:
        print_status(f"{os.fsdecode(error.filename)} cannot be used: {error.strerror}")
        return 1
    if error.errno == errno.ENOENT:  # what os.getcwd raises
        print_status("the current folder is not there any more: change to another one")
        return 1
    discard(sys.stdout)
    if isinstance(error, BrokenPipeError):
        return 0
    print_status(f"the answer could not be written: {error.strerror}")
    return 1


def _run_prompt(arguments: Arguments) -> int:
    from .current_chat import CurrentChat
    inputs = Inputs()
    with _open_client(arguments) as client:
        schema = inputs.load_schema(arguments.schema) if arguments.schema else None
        current = CurrentChat.from_arguments(client, build_options(arguments, response_schema=schema), arguments)
        prompt = inputs.build_prompt(arguments.words, arguments.attach)
        if not prompt:
            raise _NoPromptError
        printer = Printer(arguments.format, thinking=arguments.thinking, output=arguments.output,
                          rich=not arguments.no_rich and schema is None, extract=arguments.extract)
        if arguments.no_stream or arguments.extract or arguments.format == "json":
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


def _run_conversations(arguments: Arguments) -> int:
    from .conversations import run_conversations
    return run_conversations(arguments)


def _run_models(arguments: Arguments) -> int:
    with _open_client(arguments) as client:
        try:
            models = client.models()
        except ValueError:  # Code Assist
            raise ValueError("this backend has no list of models: 'gemini-lite quota' names those that you have a "
                             "quota for") from None
    if arguments.format == "json":
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
        options = build_options(arguments)
        count = client.count_tokens(prompt, model=options.model, system_prompt=options.system_prompt,
                                    tools=options.tools)
    if arguments.format == "json":
        Printer().print_json({"totalTokens": count}, None)
    else:
        print(count, flush=True)
    return 0


def _run_quota(arguments: Arguments) -> int:
    with _open_client(arguments) as client:
        quotas = client.quota()
    if arguments.format == "json":
        Printer().print_json(quotas)
    else:
        Printer().print_table(("model", "left", "amount", "of", "comes back"), [
            (quota.get("modelId"), _percent(quota.get("remainingFraction")), quota.get("remainingAmount"),
             quota.get("tokenType"), quota.get("resetTime")) for quota in quotas])
    return 0


def _percent(fraction: object) -> Optional[str]:
    return f"{100 * fraction:.0f}%" if isinstance(fraction, (int, float)) else None


def _run_doctor(arguments: Arguments) -> int:
    from .doctor import run_doctor
    return run_doctor(lambda: _open_client(arguments, retries=0, timeout=(10, 30)), is_demo=arguments.demo)


def _run_files(arguments: Arguments) -> int:
    from . import api_commands
    return api_commands.run_files(arguments, _open_client)


def _run_caches(arguments: Arguments) -> int:
    from . import api_commands
    return api_commands.run_caches(arguments, _open_client)


def _run_embed(arguments: Arguments) -> int:
    from . import api_commands
    return api_commands.run_embed(arguments, _open_client)


def _run_completion(arguments: Arguments) -> int:
    from .completion import completion_script
    print(completion_script(arguments.shell), end="", flush=True)
    return 0


def _run_map(arguments: Arguments) -> int:
    from .map_command import run_map
    return run_map(cast(Any, arguments), lambda: _open_client(arguments))


def _run_batch(arguments: Arguments) -> int:
    from .batch_command import run_batch
    return run_batch(cast(Any, arguments), lambda: _open_client(arguments))


def _run_record(arguments: Arguments) -> int:
    from .record_command import run_record
    return run_record(cast(Any, arguments))


_COMMANDS: Dict[str, Callable[[Arguments], int]] = {
    "prompt": _run_prompt, "chat": _run_chat, "conversations": _run_conversations, "models": _run_models,
    "map": _run_map, "count": _run_count, "quota": _run_quota, "doctor": _run_doctor, "completion": _run_completion,
    "files": _run_files, "caches": _run_caches, "embed": _run_embed, "batch": _run_batch, "record": _run_record,
}


@contextlib.contextmanager
def _open_client(arguments: Arguments, **settings: Any) -> Iterator[GeminiClient]:
    """A client with these `settings`; with --demo one for a stand-in server that runs as long as the client is open."""
    if not arguments.demo:
        with GeminiClient(**settings) as client:
            yield client
        return
    from ..demo import reachable_demo
    print_status("demo: a stand-in on 127.0.0.1 answers, over real HTTP; there is no model behind it")
    with reachable_demo() as server:
        backend = CodeAssist(lambda: "demo", endpoints=[server.url]) if arguments.command == "quota" \
            else DeveloperAPI(DEMO_KEY, base_url=server.url)
        with GeminiClient(backend=backend, **settings) as client:
            yield client
