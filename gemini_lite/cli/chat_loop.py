"""The chat command: reads messages and commands line by line, and shows answers until there is no more input."""
from __future__ import annotations

import contextlib
import os
from typing import Callable, Dict, List, NamedTuple

from ..client import GeminiClient
from ..display.waits import stop_waits
from ..errors import GeminiError
from ..json_data.previews import counted
from ..options import GeminiOptions
from . import saved
from .arguments import Arguments
from .current_chat import CurrentChat
from .inputs import Inputs
from .line_reader import LineReader
from .printer import Printer
from .request_options import build_options
from .standard_error import print_lines, print_status


class ChatLoop:
    """`run` reads lines: each is a message to the model, or a command of `COMMANDS`."""

    def __init__(self, client: GeminiClient, arguments: Arguments) -> None:
        self._inputs = Inputs("the chat")
        self._current = CurrentChat.from_arguments(client, build_options(arguments), arguments)
        self._attachments = self._inputs.attachment_parts(arguments.attach)  # for the next message
        self._line_reader = LineReader()
        self._printer = Printer(thinking=arguments.thinking, rich=not arguments.no_rich)
        self._has_failed = False

    def run(self) -> int:
        """Read and answer to the end of the input; the exit code is 1 if a message from a pipe failed."""
        if self._line_reader.interactive:
            print_status("/help lists the commands, " + (
                "/save NAME keeps this, " if self._current.saved_name is None else "") + "Ctrl-D leaves")
        with contextlib.suppress(EOFError):
            while True:
                with self._line_reader.catch_interrupt():
                    self._handle(self._read_message())
        self._current.save()  # Ctrl-C between an answer and its saving has skipped that
        if self._line_reader.interactive and self._current.has_unsaved_turns:
            print_status("this conversation was not kept: /save NAME, or --conversation NAME from the start, keeps one")
        return int(self._has_failed and not self._line_reader.interactive)

    def _read_message(self) -> str:
        """The next line; or the lines from ``!multi`` to ``!end``, or from ``!multi MARK`` to ``!end MARK``."""
        line = self._line_reader.read("> ")
        first_word, _, mark = line.strip().partition(" ")
        if first_word != "!multi":
            return line
        last_line = f"!end {mark}".strip()
        lines: List[str] = []
        while True:
            line = self._line_reader.read(". ")
            if line.strip() == last_line:
                return "\n".join(lines)
            lines.append(line)

    def _handle(self, message: str) -> None:
        """Run a command, leave (EOFError), or send a message; an error is shown and the loop goes on."""
        try:
            if message.startswith("/") and "\n" not in message:
                self._run_command(*message.split(None, 1))
            elif self._line_reader.interactive and message.strip() in ("exit", "quit"):
                raise EOFError
            elif message.strip():
                self._send(message.strip())
        except (GeminiError, ValueError, TypeError) as error:
            self._has_failed = True
            print_status(str(error))

    def _send(self, message: str) -> None:
        """Send a message with the attachments that wait for it, show the answer and save the chat."""
        turns = len(self._current.chat.history)
        try:
            self._printer.print_stream(self._current.chat.send_message_stream([*self._attachments, message]))
            self._attachments = []
        except KeyboardInterrupt:
            stop_waits()
            if not self._line_reader.interactive:
                raise
            if len(self._current.chat.history) == turns:
                print_status("cancelled: the conversation is as it was before")
        except GeminiError:
            if len(self._current.chat.history) > turns:  # the answer ends in calls that nobody will answer
                self._current.truncate(turns)
            raise
        self._current.save()

    def _run_command(self, name: str, argument: str = "") -> None:
        if name not in COMMANDS:
            raise ValueError(f"there is no command {name}: /help lists them; to send it as a message, begin it with a "
                             "blank")
        COMMANDS[name].run(self, argument.strip())

    @property
    def _options(self) -> GeminiOptions:
        return self._current.chat.options

    def _show_help(self, _: str) -> None:
        rows = [(f"{name} {command.argument}", command.help) for name, command in COMMANDS.items()]
        rows += [("!multi", "begin a message of several lines, which the line !end ends"),
                 ("Ctrl-C", "cancel an answer, and keep the conversation as it was; or give up a line")]
        print_lines("\n".join(f"{left:16}{right}" for left, right in rows))

    def _clear(self, _: str) -> None:
        self._current.start_new(self._options)
        self._attachments = []
        print_status("a new conversation")

    def _save(self, name: str) -> None:
        name = name or self._current.saved_name or ""
        _require_argument(name, "/save NAME")
        self._current.save(name)
        print_status(f"{'saved' if self._current.chat.history else 'it will be saved'} as {self._current.saved_name}")

    def _load(self, name: str) -> None:
        if not name:
            print_lines("\n".join(saved.names()) or "none is saved")
            return
        if self._current.has_unsaved_turns:
            raise ValueError("this conversation is not saved: /save NAME keeps it, /clear gives it up")
        self._current.load(name)
        print_status(f"{name}: {counted(len(self._current.chat.history), 'turn')}")

    def _set_model(self, name: str) -> None:
        if name:
            self._current.change_options(self._options.replace(model=name))
        print_status(f"model: {self._options.model or os.environ.get('GEMINI_MODEL') or 'the default'}")

    def _set_system_prompt(self, text: str) -> None:
        if text:
            self._current.change_options(self._options.replace(system_prompt="" if text == "-" else text))
        print_status(f"system prompt: {self._options.system_prompt or 'none'}")

    def _attach(self, name: str) -> None:
        _require_argument(name, "/attach FILE")
        self._attachments.append(self._inputs.attachment_part(os.path.expanduser(name)))
        print_status(f"{len(self._attachments)} with the next message")

    def _list_tools(self, _: str) -> None:
        entries = self._options.toolbox.to_api()
        declarations = [declaration for entry in entries for declaration in entry.get("functionDeclarations", ())]
        rows = [f"{declaration['name']:16}{_first_line(declaration.get('description', ''))}"
                for declaration in declarations]
        print_lines("\n".join(rows) or "no tools: start with --tool module:function")

    def _quit(self, _: str) -> None:
        raise EOFError


class Command(NamedTuple):
    """A command of the chat; `argument` is its name in the help, "" for none, and `run` gets its text."""

    argument: str
    help: str
    run: Callable[[ChatLoop, str], None]


COMMANDS: Dict[str, Command] = {
    "/help": Command("", "list the commands", ChatLoop._show_help),
    "/clear": Command("", "begin a new conversation, with the same model, system prompt and tools", ChatLoop._clear),
    "/save": Command("NAME", "save the conversation, now and after each answer", ChatLoop._save),
    "/load": Command("NAME", "go on with a saved conversation; without a name, list them", ChatLoop._load),
    "/model": Command("NAME", "ask another model; without a name, tell which is asked", ChatLoop._set_model),
    "/system": Command("TEXT", "set the system prompt, '-' for none; without a text, show it",
                       ChatLoop._set_system_prompt),
    "/attach": Command("FILE", "send a file or a URL with the next message", ChatLoop._attach),
    "/tools": Command("", "list the functions that the model may call", ChatLoop._list_tools),
    "/quit": Command("", "leave, as Ctrl-D does", ChatLoop._quit),
}


def _require_argument(argument: str, usage: str) -> None:
    if not argument:
        raise ValueError(f"write {usage}")


def _first_line(text: str) -> str:
    return text.partition("\n")[0]
