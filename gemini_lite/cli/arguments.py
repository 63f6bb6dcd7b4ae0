"""The arguments of the command line: its commands, their options and their help."""
from __future__ import annotations

import argparse
import dataclasses
import difflib
import itertools
import textwrap
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple, Union

from ..options import GeminiOptions
from ..version import __version__
from . import batch_help, map_help, record_help
from .api_arguments import (
    CACHES_HELP, EMBED_HELP, FILES_HELP, add_caches_arguments, add_embed_arguments, add_files_arguments,
)

Attachment = Union[str, List[str]]  # --attach gives a file name, --at a list of file name and MIME type
AddArguments = Callable[[argparse.ArgumentParser], None]


class Arguments(argparse.Namespace):
    """The parsed arguments of one command; what the command has no option for is not set."""

    command: str
    demo: bool
    words: List[str]
    model: Optional[str]
    system: Optional[str]
    attach: List[Attachment]
    tool: List[str]
    functions: List[str]
    search: bool
    yes: bool
    settings: List[str]  # --set
    temperature: Optional[float]
    thinking: bool
    save: Optional[str]
    resume_last: bool  # --continue
    conversation: Optional[str]
    no_rich: bool
    schema: Optional[str]
    format: str
    output: Optional[str]
    extract: bool
    no_stream: bool
    action: str  # of conversations
    shell: str  # of completion
    notices: List[str]  # what is to be said before the command runs


class Command(NamedTuple):
    """A command: its line in ``gemini-lite --help``, its options, and the examples below them in its own help."""

    summary: str
    add_arguments: AddArguments
    examples: str


_HELP_END = """\
Any other first word begins a prompt. Options stand before or after commands:
  gemini-lite -m gemini-2.5-pro -a photo.jpg "What is this?"
  gemini-lite --demo "Hello"      a stand-in on this machine, no account needed
  gemini-lite prompt --help       -a, -c, -x ...; so for any COMMAND; --version
GEMINI_API_KEY: your key. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 ^C.
"""
_PROMPT_EXAMPLES = """\
examples:
  gemini-lite "Explain server-sent events in one sentence"
  cat err.log | gemini-lite "Why did this fail?"
  gemini-lite -a photo.jpg -a notes.pdf "Is this what the notes describe?"
  gemini-lite --schema "name, born int" "Who wrote Emma?" | jq .name
  gemini-lite --functions tools.py "Rain in Paris?"        calls its functions
  gemini-lite -x "A script that counts files" > count.sh   the last code block
  gemini-lite --conversation trip "Three days in Rome"
  gemini-lite -c "And if it rains?"                        goes on with the last
  gemini-lite -m gemini-2.5-flash-image -o cat.png "Draw a cat"
  gemini-lite --set top_p=0.9 --set seed=7 "Name a colour"

The answer goes to standard output, everything else to standard error. A prompt that begins with the word of a command:
gemini-lite prompt models, or gemini-lite -- models.

environment:
  GEMINI_API_KEY     a key from https://aistudio.google.com/apikey
  GOOGLE_API_KEY     the same, and comes before it
  GEMINI_MODEL       the default model
  GEMINI_LITE_HOME   the folder for conversations, in place of the usual one
  NO_COLOR           no colours
"""
_CHAT_EXAMPLES = """\
Type /help in a chat for its commands. Ctrl-C cancels an answer and leaves the conversation as it was, or clears the
line; Ctrl-D leaves. From a pipe each line is a message, and the exit code is 1 if any of them failed.

examples:
  gemini-lite chat
  gemini-lite chat --continue
  gemini-lite chat --conversation trip
  gemini-lite chat --system "You are a patient teacher." --tool weather:forecast
  printf 'Name a prime.\\nAnd the next one?\\n' | gemini-lite chat
"""
_CONVERSATIONS_EXAMPLES = """\
examples:
  gemini-lite conversations
  gemini-lite conversations show trip
  gemini-lite conversations search umbrella
  gemini-lite conversations export trip -o trip.md
  gemini-lite conversations export trip -f json | jq .history
  gemini-lite conversations delete trip --yes
"""
_MODELS_EXAMPLES = """\
examples:
  gemini-lite models
  gemini-lite models -f json | jq -r '.[].name'
"""
_COUNT_EXAMPLES = """\
examples:
  gemini-lite count "Hello"
  gemini-lite count -a book.pdf
  cat *.py | gemini-lite count
"""
_QUOTA_EXAMPLES = """\
Only Code Assist tells a quota.

example:
  GOOGLE_GENAI_USE_GCA=true gemini-lite quota
"""
_DOCTOR_EXAMPLES = """\
It makes one real call, which costs nothing. No key or token is ever shown. The exit code is 0 if all is well, else 1.

example:
  gemini-lite doctor
"""
_COMPLETION_EXAMPLES = """\
examples:
  gemini-lite completion bash >> ~/.bashrc
  gemini-lite completion zsh > ~/.zfunc/_gemini-lite
"""


def parse_arguments(argv: List[str]) -> Tuple[argparse.ArgumentParser, Arguments]:
    """The parser of the command that `argv` names, "prompt" if it names none, and what it parsed."""
    if argv[:1] == ["help"] and (len(argv) == 1 or argv[1:2] and argv[1] in COMMANDS):
        argv = [*argv[1:2], "--help"]
    position = _command_position(argv)
    if position is None and not any(word not in ("-h", "--help", "--version", "--demo") for word in argv) and argv:
        make_parser().parse_args(argv)  # prints the help or the version, and exits
    name = "prompt" if position is None else argv[position]
    rest = argv if position is None else argv[:position] + argv[position + 1:]
    parser = make_parsers()[name]
    arguments, unknown = parser.parse_known_args(rest, Arguments())
    if unknown and "--" not in rest:  # words may stand on both sides of an option
        arguments, unknown = parser.parse_known_intermixed_args(rest, Arguments())
    if unknown:
        asked = "" if name == "prompt" else f"; if this is a prompt, write: gemini-lite prompt {name} ..."
        if name in ("map", "batch"):
            asked = f"; the prompt for each row stands behind --prompt{asked}"
        parser.error(f"unrecognized arguments: {' '.join(unknown)}{_similar_option(unknown[0], parser) or asked}")
    arguments.command = name
    arguments.notices = _find_ambiguities(arguments, is_named=position is not None and name != "prompt")
    return parser, arguments


def _similar_option(unknown: str, parser: argparse.ArgumentParser) -> str:
    """What might have been meant by an unknown option, as the end of a sentence; empty if nothing is like it."""
    known = {option: option for option in parser._option_string_actions}
    if "--set" in known:
        known.update((f"--{field.name.replace('_', '-')}", f"--set {field.name}=VALUE")
                     for field in dataclasses.fields(GeminiOptions) if f"--{field.name}" not in known)
    name = unknown.partition("=")[0]
    close = [option for option in known if option.startswith(name)] or difflib.get_close_matches(name, known, 1, 0.6)
    return f"; did you mean {known[close[0]]}?" if close and name.startswith("--") else ""


def _command_position(argv: List[str]) -> Optional[int]:
    """Where the first word that is no option or an option's value stands in `argv`, if it names a command."""
    values = _option_values()
    index = 0
    while index < len(argv) and argv[index] != "--":
        word = argv[index]
        if not word.startswith("-") or word == "-":
            return index if word in COMMANDS else None
        is_attached = "=" in word if word.startswith("--") else len(word) > 2
        index += 1 if is_attached else 1 + values.get(word, 0)
    return None


def _option_values() -> Dict[str, int]:
    """How many values each option takes."""
    return {option: action.nargs if isinstance(action.nargs, int) else 1
            for parser in make_parsers().values() for action in parser._actions for option in action.option_strings}


def _find_ambiguities(arguments: Arguments, *, is_named: bool) -> List[str]:
    """What might have been meant otherwise, each as a sentence."""
    words = getattr(arguments, "words", [])
    if is_named and arguments.command == "count" and len(words) > 1:
        return ["this counts the tokens of these words; to ask them, write: gemini-lite prompt count ..."]
    if not is_named and arguments.command == "prompt" and words and words[0] not in COMMANDS:
        close = difflib.get_close_matches(words[0], COMMANDS, 1, 0.8)
        if close and (len(words) == 1 or words[1] in _actions(close[0])):
            return [f"{' '.join(words)!r} is sent as a prompt; there is a command named {close[0]}"]
    return []


def _actions(command: str) -> Sequence[str]:
    """What the first argument of `command` may be, such as list; empty if that is free."""
    actions = make_parsers()[command]._actions
    return next((list(action.choices or ()) for action in actions if action.dest == "action"), [])


def make_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line, whose help fits a screen."""
    width = max(map(len, COMMANDS))
    rows = [f"  {name:{width}}  {command.summary}" for name, command in COMMANDS.items()]
    parser = argparse.ArgumentParser(
        prog="gemini-lite", usage="gemini-lite [COMMAND] [OPTIONS] [PROMPT]", allow_abbrev=False, epilog=_HELP_END,
        description="\n".join(["Ask Gemini, and read the answer as it is written. Commands:", *rows]), add_help=False,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-h", "--help", action="help", help=argparse.SUPPRESS)
    parser.add_argument("--version", action="version", version=f"gemini-lite {__version__}", help=argparse.SUPPRESS)
    parser.add_argument("--demo", action="store_true", help=argparse.SUPPRESS)
    return parser


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Makes paragraphs as wide as the terminal; indented lines, such as examples, stay as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        lines: List[str] = []
        for is_kept, group in itertools.groupby(text.splitlines(), key=lambda line: line[:1] in ("", " ")):
            lines += group if is_kept else textwrap.wrap(" ".join(group), width)
        return "\n".join(lines)


def make_parsers() -> Dict[str, argparse.ArgumentParser]:
    """The parser of each command, by its name."""
    return _add_commands(argparse.ArgumentParser(prog="gemini-lite"))


def _add_commands(parser: argparse.ArgumentParser) -> Dict[str, argparse.ArgumentParser]:
    commands = parser.add_subparsers(dest="command")
    parsers: Dict[str, argparse.ArgumentParser] = {}
    for name, command in COMMANDS.items():
        parsers[name] = commands.add_parser(
            name, help=command.summary, description=f"{command.summary[0].upper()}{command.summary[1:]}.",
            epilog=command.examples, allow_abbrev=False, formatter_class=_HelpFormatter,
            prog="gemini-lite" if name == "prompt" else f"gemini-lite {name}")
        command.add_arguments(parsers[name])
        parsers[name].add_argument("--demo", action="store_true",
                                   help="talk to a stand-in on this machine: no model, no account")
    return parsers


def add_prompt_words(parser: argparse.ArgumentParser) -> None:
    """The words of a prompt."""
    parser.add_argument("words", nargs="*", metavar="prompt",
                        help="the prompt; what comes on standard input goes before it")


def add_request_options(parser: argparse.ArgumentParser) -> None:
    """What the request holds besides the words; a token count needs these too."""
    parser.add_argument("-m", "--model", help="the model's name (default: GEMINI_MODEL, else the backend's own)")
    parser.add_argument("-s", "--system", metavar="TEXT", help="a system prompt")
    parser.add_argument("-a", "--attach", metavar="FILE", action="append", default=[],
                        help="a file or a URL to send along, '-' for standard input; as often as you like")
    parser.add_argument("--at", nargs=2, metavar=("FILE", "TYPE"), dest="attach", action="append",
                        help="the same, with its MIME type")
    parser.add_argument("-T", "--tool", metavar="MODULE:FUNCTION", action="append", default=[],
                        help="a Python function that the model may call; as often as you like")
    parser.add_argument("--functions", metavar="FILE", action="append", default=[],
                        help="all functions of a Python file, without those that begin with _ (or its __all__)")
    parser.add_argument("--search", action="store_true", help="let the model search the web with Google")
    parser.add_argument("--set", metavar="NAME=VALUE", dest="settings", action="append", default=[],
                        help="any field of GeminiOptions, such as top_p=0.9 or stop_sequences='[\"END\"]'")


def add_output_options(parser: argparse.ArgumentParser, *formats: str) -> None:
    """The format of the output, and the file it goes to."""
    lines = "; jsonl: each event of it" if "jsonl" in formats else ""
    parser.add_argument("-f", "--format", choices=formats, default="text",
                        help=f"text; json: the whole answer as the API has it{lines}")
    parser.add_argument("-o", "--output", metavar="FILE", help="write to a file in place of standard output")


def _add_chat_options(parser: argparse.ArgumentParser) -> None:
    """How the model answers, how that is shown, and where the conversation is kept."""
    parser.add_argument("-t", "--temperature", type=float, metavar="NUMBER", help="0 is the most predictable")
    parser.add_argument("--thinking", action="store_true", help="show the model's thoughts, on standard error")
    parser.add_argument("-c", "--continue", dest="resume_last", action="store_true",
                        help="go on with the conversation that was saved last")
    parser.add_argument("--conversation", metavar="NAME", help="go on with the conversation NAME, or begin it")
    parser.add_argument("--save", metavar="NAME", help="keep the conversation under a new name")
    parser.add_argument("-y", "--yes", action="store_true",
                        help="run the functions that the model calls without asking at a terminal")
    parser.add_argument("--no-rich", action="store_true",
                        help="plain text in a terminal too, where rich would show Markdown")


def _add_prompt_arguments(parser: argparse.ArgumentParser) -> None:
    add_prompt_words(parser)
    add_request_options(parser)
    _add_chat_options(parser)
    parser.add_argument("--schema", metavar="SCHEMA",
                        help="the answer is JSON that fits: a JSON Schema file, or 'name, age int, tags list'")
    add_output_options(parser, "text", "json", "jsonl")
    parser.add_argument("--json", action="store_const", dest="format", const="json", help="the same as -f json")
    parser.add_argument("-x", "--extract", action="store_true", help="print only the last fenced block of the answer")
    parser.add_argument("--no-stream", action="store_true", help="print the answer when it is complete")
    parser.add_argument("--version", action="version", version=f"gemini-lite {__version__}")


def _add_chat_arguments(parser: argparse.ArgumentParser) -> None:
    add_request_options(parser)
    _add_chat_options(parser)


def _add_conversations_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", nargs="?", default="list", choices=("list", "show", "search", "delete", "export"),
                        help="what to do; list if it is left out")
    parser.add_argument("words", nargs="*", metavar="NAME", help="the names, or the text to search for")
    add_output_options(parser, "text", "json")
    parser.add_argument("-y", "--yes", action="store_true", help="delete without asking")


def _add_list_arguments(parser: argparse.ArgumentParser) -> None:
    add_output_options(parser, "text", "json")


def _add_count_arguments(parser: argparse.ArgumentParser) -> None:
    add_prompt_words(parser)
    add_request_options(parser)
    add_output_options(parser, "text", "json")


def _add_completion_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=("bash", "zsh"), help="the shell to write it for")


def _add_no_arguments(parser: argparse.ArgumentParser) -> None:
    """For a command without arguments of its own."""


COMMANDS: Dict[str, Command] = {
    "prompt": Command("ask once; this word may be left out", _add_prompt_arguments, _PROMPT_EXAMPLES),
    "chat": Command("talk, line by line", _add_chat_arguments, _CHAT_EXAMPLES),
    "conversations": Command("list, show, search, delete or export what was saved", _add_conversations_arguments,
                             _CONVERSATIONS_EXAMPLES),
    "models": Command("list the models, with their token limits", _add_list_arguments, _MODELS_EXAMPLES),
    "map": Command("answer the prompts of a file into another",
                   map_help.add_map_arguments, map_help.EXAMPLES),
    "batch": Command("the same by a job, at half the price, within a day",
                     batch_help.add_batch_arguments, batch_help.EXAMPLES),
    "count": Command("count the tokens of a prompt", _add_count_arguments, _COUNT_EXAMPLES),
    "quota": Command("show what is left of the quota (Code Assist)", _add_list_arguments, _QUOTA_EXAMPLES),
    "files": Command("upload, list, delete and download files", add_files_arguments, FILES_HELP),
    "caches": Command("keep what many prompts begin with", add_caches_arguments, CACHES_HELP),
    "embed": Command("turn each line of a file into a vector", add_embed_arguments, EMBED_HELP),
    "record": Command("write down what a program and Google say, for its tests",
                      record_help.add_record_arguments, record_help.EXAMPLES),
    "doctor": Command("say who is signed in, where that leads, and whether it works", _add_no_arguments,
                      _DOCTOR_EXAMPLES),
    "completion": Command("write the completion script of a shell", _add_completion_arguments, _COMPLETION_EXAMPLES),
}
