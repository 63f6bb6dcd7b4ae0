"""The words of the command line: its commands, their flags, and the help that teaches them."""
from __future__ import annotations

import argparse
from typing import Any, Callable, Dict, List, Tuple

from ..version import __version__

_ASK_HELP = """\
commands, each with a --help of its own:
  prompt     ask once: the default, so this word may be left out
  chat       a conversation
  models     the models there are, with their token limits
  count      how many tokens a prompt has
  quota      what is left of the quota (Code Assist)
  doctor     who is signed in, where that leads, and whether it works

A prompt that begins with one of these words: gemini-lite prompt models, or gemini-lite -- models.

examples:
  gemini-lite "Explain server-sent events in one sentence"
  cat err.log | gemini-lite "Why did this fail?"
  gemini-lite -a photo.jpg "What is this?"
  curl -s https://example.com/a.pdf | gemini-lite -a - "Sum up"
  gemini-lite --schema person.json "Who wrote the first program?" | jq .name
  gemini-lite --tool weather:forecast "Do I need an umbrella in Paris?"    calls forecast() in ./weather.py
  gemini-lite --save trip "Three days in Rome"
  gemini-lite --continue trip "And if it rains?"
  gemini-lite --demo "Hello"            the whole client against a stand-in on this machine, no account needed

The answer goes to standard output, everything else to standard error.

environment:
  GEMINI_API_KEY     a key from https://aistudio.google.com/apikey; GOOGLE_API_KEY comes before it
  GEMINI_MODEL       the default model
  GEMINI_LITE_HOME   the folder for saved conversations, in place of the platform's usual one
  NO_COLOR           no colours

exit codes:
  0 done, 1 the call failed or nobody is signed in, 2 wrong usage, 130 interrupted
"""
_CHAT_HELP = """\
Type /help in a chat for its commands. Ctrl-C cancels an answer and leaves the conversation as it was, or clears the
line; Ctrl-D leaves. From a pipe each line is a message, and the exit code is 1 if any of them failed.

examples:
  gemini-lite chat
  gemini-lite chat --continue trip
  gemini-lite chat --system "You are a patient teacher." --tool weather:forecast
  printf 'Name a prime.\\nAnd the next one?\\n' | gemini-lite chat
"""
_MODELS_HELP = """\
example:
  gemini-lite models -o json | jq -r '.[].name'
"""
_COUNT_HELP = """\
examples:
  gemini-lite count "Hello"
  gemini-lite count -a book.pdf
  cat *.py | gemini-lite count
"""
_QUOTA_HELP = """\
Only Code Assist tells a quota: GOOGLE_GENAI_USE_GCA=true gemini-lite quota
"""
_DOCTOR_HELP = """\
It makes one real call, which costs nothing. No key or token is ever shown. The exit code is 0 if all is well, else 1.
"""


def parse(words: List[str]) -> Tuple[argparse.ArgumentParser, Any]:
    """The parser of the command that `words` begin with, and what they ask for."""
    at = 1 if words[:1] == ["--demo"] else 0
    name = words[at] if len(words) > at and words[at] in _COMMANDS else "prompt"
    parser = parsers()[name]
    given, unknown = parser.parse_known_args(words[:at] + words[at + 1:] if name in words[at:at + 1] else words)
    if unknown:
        hint = "" if "words" in given else "; if this is a prompt, write: gemini-lite prompt ..."
        parser.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
    given.command = name
    return parser, given


def parsers() -> Dict[str, argparse.ArgumentParser]:
    """The parser of each command."""
    made = {}
    for name, (describe, description, epilog) in _COMMANDS.items():
        parser = made[name] = argparse.ArgumentParser(
            prog="gemini-lite" if name == "prompt" else f"gemini-lite {name}", description=description, epilog=epilog,
            allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter)
        describe(parser.add_argument)
        parser.add_argument("--demo", action="store_true",
                            help="talk to a stand-in on this machine: no model, no account")
    return made


def _prompt(add: Callable[..., Any]) -> None:
    _words(add)
    _asked(add)
    add("--schema", metavar="FILE", help="a JSON Schema: the answer is JSON that fits it")
    _form(add, "text", "json", "jsonl")
    add("--json", action="store_const", dest="output", const="json", help="the same as -o json")
    add("--no-stream", action="store_true", help="print the answer when it is complete")
    add("--version", action="version", version=f"gemini-lite {__version__}")


def _chat(add: Callable[..., Any]) -> None:
    _asked(add)


def _models(add: Callable[..., Any]) -> None:
    _form(add, "text", "json")


def _count(add: Callable[..., Any]) -> None:
    _words(add)
    _options(add)
    _form(add, "text", "json")


_COMMANDS: Dict[str, Tuple[Callable[[Callable[..., Any]], None], str, str]] = {
    "prompt": (_prompt, "Ask Gemini and read the answer as it is written.", _ASK_HELP),
    "chat": (_chat, "Talk with Gemini.", _CHAT_HELP),
    "models": (_models, "List the models that this key can use, with their token limits.", _MODELS_HELP),
    "count": (_count, "Count the tokens of a prompt, without sending it to the model.", _COUNT_HELP),
    "quota": (_models, "Show what is left of the quota, model by model.", _QUOTA_HELP),
    "doctor": (lambda add: None, "Say who is signed in, where that leads, and whether Gemini can be reached.",
               _DOCTOR_HELP),
}


def _words(add: Callable[..., Any]) -> None:
    add("words", nargs="*", metavar="prompt", help="the prompt; what comes on standard input goes before it")


def _options(add: Callable[..., Any]) -> None:
    add("-m", "--model", help="the model's name (default: GEMINI_MODEL, else the backend's own)")
    add("-s", "--system", metavar="TEXT", help="a system prompt")
    add("-a", "--attach", metavar="FILE", action="append", default=[],
        help="a file or a URL to send along, '-' for standard input; as often as you like")
    add("--at", nargs=2, metavar=("FILE", "TYPE"), dest="attach", action="append",
        help="the same, with its MIME type")
    add("-T", "--tool", metavar="MODULE:FUNCTION", action="append", default=[],
        help="a Python function that the model may call; as often as you like")


def _asked(add: Callable[..., Any]) -> None:
    _options(add)
    add("-t", "--temperature", type=float, metavar="NUMBER", help="0 is the most predictable")
    add("--thinking", action="store_true", help="show the model's thoughts, on standard error")
    add("--save", metavar="NAME", help="keep the conversation under a new name")
    add("--continue", metavar="NAME", dest="resume",
        help="go on with a saved conversation, and keep it again (with --save: under that name)")
    add("--no-rich", action="store_true", help="plain text in a terminal too, where rich would show Markdown")


def _form(add: Callable[..., Any], *forms: str) -> None:
    words = f"text; json: the whole answer as the API has it{'; jsonl: each event of it' * ('jsonl' in forms)}"
    add("-o", "--output", choices=forms, default="text", help=words)
