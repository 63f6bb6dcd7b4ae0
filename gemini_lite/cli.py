"""The command line: a prompt in, an answer out."""
from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import sys
from typing import Iterator, List, Optional

from . import DeveloperAPI, GeminiClient, GeminiError, GenerateContentResponse, Stream
from .version import __version__

_EPILOG = """\
examples:
  gemini-lite "Explain server-sent events in one sentence"
  cat err.log | gemini-lite "Why did this fail?"
  gemini-lite --demo "Hello"            the whole client against a stand-in on this machine, no account needed

Sign in with GEMINI_API_KEY (a key from https://aistudio.google.com/apikey); GEMINI_MODEL names another model.
Exit codes: 0 done, 1 the call failed or nobody is signed in, 2 wrong usage, 130 interrupted.
"""


def main(argv: Optional[List[str]] = None) -> int:
    """Run the command and return its exit code."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # an answer may hold what the terminal cannot show
    try:
        with _client(arguments) as client:
            prompt = _prompt(arguments.prompt)
            if not prompt:
                parser.error("no prompt: give one as an argument or on standard input")
            asked = {"model": arguments.model, "system_prompt": arguments.system, "temperature": arguments.temperature}
            if arguments.json or arguments.no_stream:
                response = client.generate(prompt, **asked)
                whole = json.dumps(response.data, ensure_ascii=False, indent=2) if arguments.json else response.text
                print(whole, flush=True)
            else:
                response = _print_stream(client.stream(prompt, **asked))
            _notice_end(response)
        return 0
    except OSError as error:  # standard output: nobody reads on, or the disk is full
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the flush at exit fails once more
        if isinstance(error, BrokenPipeError):
            return 0
        _notice("the answer could not be written: %s" % error.strerror)
        return 1
    except KeyboardInterrupt:
        return 130
    except GeminiError as error:
        _notice(str(error))
        return 1
    except (ValueError, TypeError) as error:
        _notice(str(error))
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gemini-lite", description="Ask Gemini and read the answer as it is written.", epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prompt", nargs="*", help="the prompt; what comes on standard input goes before it")
    parser.add_argument("-m", "--model", help="the model's name (default: GEMINI_MODEL, else the backend's own)")
    parser.add_argument("-s", "--system", metavar="TEXT", help="a system prompt")
    parser.add_argument("-t", "--temperature", type=float, metavar="NUMBER", help="0 is the most predictable")
    parser.add_argument("--json", action="store_true", help="print the whole response as JSON, when it is complete")
    parser.add_argument("--no-stream", action="store_true", help="print the answer when it is complete")
    parser.add_argument("--demo", action="store_true", help="talk to a stand-in on this machine: no model, no account")
    parser.add_argument("--version", action="version", version="gemini-lite %s" % __version__)
    return parser


def _prompt(words: List[str]) -> str:
    """What a pipe or a file brings on standard input, then the words of the command line."""
    piped = ""
    if sys.stdin is not None and not sys.stdin.isatty():
        try:
            piped = sys.stdin.buffer.read().decode("utf-8", "replace").strip()
        except OSError as error:
            raise ValueError("standard input cannot be read: %s" % error.strerror) from error
    return "\n\n".join(filter(None, (piped, " ".join(words).strip())))


@contextlib.contextmanager
def _client(arguments: argparse.Namespace) -> Iterator[GeminiClient]:
    if not arguments.demo:
        with GeminiClient() as client:
            yield client
        return
    from .demo import demo
    _notice("demo: a stand-in on 127.0.0.1 answers, over real HTTP; there is no model behind it")
    with demo() as fake, GeminiClient(backend=DeveloperAPI("demo", base_url=fake.url)) as client:
        yield client


def _print_stream(stream: Stream) -> GenerateContentResponse:
    last = ""
    for chunk in stream:
        last = chunk.text_delta or last
        print(chunk.text_delta, end="", flush=True)
    if not last.endswith("\n"):
        print(flush=True)
    return stream.response


def _notice_end(response: GenerateContentResponse) -> None:
    if response.finish_reason not in (None, "STOP"):
        _notice("the answer ended early: %s" % response.finish_reason)
    elif not response.parts:
        _notice("the answer is empty")


def _notice(text: str) -> None:
    print("gemini-lite: %s" % " ".join(text.split()), file=sys.stderr, flush=True)
