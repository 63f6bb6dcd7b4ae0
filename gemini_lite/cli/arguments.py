"""The arguments of the command line: its commands, their flags and their help."""
from __future__ import annotations

import argparse
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple, Union

from ..version import __version__
from . import api_arguments

Attachment = Union[str, List[str]]  # --attach gives a file name, --at a list of file name and MIME type

_PROMPT_HELP = """\
commands, each with a --help of its own:
  prompt     ask once: the default, so this word may be left out
  chat       a conversation
  models     the models there are, with their token limits
  count      how many tokens a prompt has
  quota      what is left of the quota (Code Assist)
  files      upload, list, delete and download files
  caches     keep contents that many prompts begin with
  embed      turn each line of a file into a vector
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


class Arguments(argparse.Namespace):
    """The parsed arguments of one command; what the command has no flag for is not set."""

    command: str
    demo: bool
    words: List[str]
    model: Optional[str]
    system: Optional[str]
    attach: List[Attachment]
    tool: List[str]
    temperature: Optional[float]
    thinking: bool
    save: Optional[str]
    resume: Optional[str]  # --continue
    no_rich: bool
    schema: Optional[str]
    output: str
    no_stream: bool
    items: List[str]


def parse_arguments(argv: List[str]) -> Tuple[argparse.ArgumentParser, Arguments]:
    """The parser of the command that `argv` begins with ("prompt" if it names none), and what it parsed."""
    position = 1 if argv[:1] == ["--demo"] else 0
    is_named = len(argv) > position and argv[position] in _COMMANDS
    name = argv[position] if is_named else "prompt"
    parser = make_parsers()[name]
    own_arguments = argv[:position] + argv[position + 1:] if is_named else argv
    arguments, unknown = parser.parse_known_args(own_arguments, Arguments())
    if "items" in arguments and not any(word.startswith("-") and word != "-" for word in unknown):
        arguments.items += unknown  # argparse takes no names behind a flag when there were words before it
        unknown = []
    if unknown:
        hint = "" if "words" in arguments else "; if this is a prompt, write: gemini-lite prompt ..."
        parser.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
    arguments.command = name
    return parser, arguments


def make_parsers() -> Dict[str, argparse.ArgumentParser]:
    """A parser for each command, by its name."""
    parsers = {}
    for name, command in _COMMANDS.items():
        parser = parsers[name] = argparse.ArgumentParser(
            prog="gemini-lite" if name == "prompt" else f"gemini-lite {name}", description=command.description,
            epilog=command.epilog, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter)
        command.add_arguments(parser)
        parser.add_argument("--demo", action="store_true",
                            help="talk to a stand-in on this machine: no model, no account")
    return parsers


def _add_prompt_arguments(parser: argparse.ArgumentParser) -> None:
    _add_prompt_words(parser)
    _add_request_flags(parser)
    _add_chat_flags(parser)
    parser.add_argument("--schema", metavar="FILE", help="a JSON Schema: the answer is JSON that fits it")
    _add_output_flag(parser, "text", "json", "jsonl")
    parser.add_argument("--json", action="store_const", dest="output", const="json", help="the same as -o json")
    parser.add_argument("--no-stream", action="store_true", help="print the answer when it is complete")
    parser.add_argument("--version", action="version", version=f"gemini-lite {__version__}")


def _add_chat_arguments(parser: argparse.ArgumentParser) -> None:
    _add_request_flags(parser)
    _add_chat_flags(parser)


def _add_output_flag_only(parser: argparse.ArgumentParser) -> None:
    _add_output_flag(parser, "text", "json")


def _add_count_arguments(parser: argparse.ArgumentParser) -> None:
    _add_prompt_words(parser)
    _add_request_flags(parser)
    _add_output_flag(parser, "text", "json")


def _add_no_arguments(parser: argparse.ArgumentParser) -> None:
    """For a command without arguments of its own."""


class _Command(NamedTuple):
    """A command: its arguments, and the texts above and below the list of its flags in --help."""

    add_arguments: Callable[[argparse.ArgumentParser], None]
    description: str
    epilog: str


_COMMANDS: Dict[str, _Command] = {
    "prompt": _Command(_add_prompt_arguments, "Ask Gemini and read the answer as it is written.", _PROMPT_HELP),
    "chat": _Command(_add_chat_arguments, "Talk with Gemini.", _CHAT_HELP),
    "models": _Command(_add_output_flag_only, "List the models that this key can use, with their token limits.",
                       _MODELS_HELP),
    "count": _Command(_add_count_arguments, "Count the tokens of a prompt, without sending it to the model.",
                      _COUNT_HELP),
    "quota": _Command(_add_output_flag_only, "Show what is left of the quota, model by model.", _QUOTA_HELP),
    "doctor": _Command(_add_no_arguments, "Say who is signed in, where that leads, and whether Gemini can be reached.",
                       _DOCTOR_HELP),
    "files": _Command(api_arguments.add_files_arguments, "Upload, list, delete and download files.",
                      api_arguments.FILES_HELP),
    "caches": _Command(api_arguments.add_caches_arguments, "Keep contents that many prompts begin with.",
                       api_arguments.CACHES_HELP),
    "embed": _Command(api_arguments.add_embed_arguments, "Turn each line of a file into a vector.",
                      api_arguments.EMBED_HELP),
}


def _add_prompt_words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", nargs="*", metavar="prompt",
                        help="the prompt; what comes on standard input goes before it")


def _add_request_flags(parser: argparse.ArgumentParser) -> None:
    """What the request holds besides the words; a token count needs these too."""
    parser.add_argument("-m", "--model", help="the model's name (default: GEMINI_MODEL, else the backend's own)")
    parser.add_argument("-s", "--system", metavar="TEXT", help="a system prompt")
    parser.add_argument("-a", "--attach", metavar="FILE", action="append", default=[],
                        help="a file or a URL to send along, '-' for standard input; as often as you like")
    parser.add_argument("--at", nargs=2, metavar=("FILE", "TYPE"), dest="attach", action="append",
                        help="the same, with its MIME type")
    parser.add_argument("-T", "--tool", metavar="MODULE:FUNCTION", action="append", default=[],
                        help="a Python function that the model may call; as often as you like")


def _add_chat_flags(parser: argparse.ArgumentParser) -> None:
    """How the model answers, how that is shown, and where the chat is kept."""
    parser.add_argument("-t", "--temperature", type=float, metavar="NUMBER", help="0 is the most predictable")
    parser.add_argument("--thinking", action="store_true", help="show the model's thoughts, on standard error")
    parser.add_argument("--save", metavar="NAME", help="keep the conversation under a new name")
    parser.add_argument("--continue", metavar="NAME", dest="resume",
                        help="go on with a saved conversation, and keep it again (with --save: under that name)")
    parser.add_argument("--no-rich", action="store_true",
                        help="plain text in a terminal too, where rich would show Markdown")


def _add_output_flag(parser: argparse.ArgumentParser, *formats: str) -> None:
    jsonl_help = "; jsonl: each event of it" if "jsonl" in formats else ""
    parser.add_argument("-o", "--output", choices=formats, default="text",
                        help=f"text; json: the whole answer as the API has it{jsonl_help}")
