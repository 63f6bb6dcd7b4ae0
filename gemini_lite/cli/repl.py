"""A conversation at the terminal, or over a pipe: messages and commands in, answers out."""
from __future__ import annotations

import contextlib
import io
import os
import sys
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Tuple

from .. import files_on_disk
from ..client import GeminiClient
from ..errors import GeminiError
from . import saved
from .inputs import Inputs, decoded, is_piped, options
from .printer import Printer, printable, tell
from .session import Talk

_REMEMBERED = 1000  # lines of the input history


class Repl:
    """`run` reads messages and shows answers until there is no more input."""

    def __init__(self, client: GeminiClient, given: Any) -> None:
        self._inputs = Inputs("the chat")
        self._talk = Talk(client, options(given), given.save, given.resume)
        self._attached = self._inputs.parts(given.attach)
        self._lines = Lines()
        self._printer = Printer(thinking=given.thinking, rich=not given.no_rich)
        self._failed = False

    def run(self) -> int:
        """Converse; the exit code is 1 if a message of a pipe failed."""
        if self._lines.interactive:
            tell("/help lists the commands, Ctrl-D leaves")
        with contextlib.suppress(EOFError):
            while True:
                with self._lines.interruptible():
                    self._heed(self._message())
        self._talk.save()  # what Ctrl-C kept from being saved
        return int(self._failed and not self._lines.interactive)

    def _message(self) -> str:
        """The next line, or the lines between ``!multi`` and ``!end``."""
        line = self._lines.read("> ")
        first, _, mark = line.strip().partition(" ")
        if first != "!multi":
            return line
        end = ("!end " + mark).strip()
        lines: List[str] = []
        while True:
            line = self._lines.read(". ")
            if line.strip() == end:
                return "\n".join(lines)
            lines.append(line)

    def _heed(self, message: str) -> None:
        """Do what a line asks for."""
        try:
            if message.startswith("/") and "\n" not in message:
                self._command(*message.split(None, 1))
            elif self._lines.interactive and message.strip() in ("exit", "quit"):
                raise EOFError
            elif message.strip():
                self._send(message.strip())
        except (GeminiError, ValueError, TypeError) as error:
            self._failed = True
            tell(str(error))

    def _send(self, message: str) -> None:
        turns = len(self._talk.chat.history)
        try:
            self._printer.stream(self._talk.chat.send_message_stream([*self._attached, message]))
            self._attached = []
        except KeyboardInterrupt:
            if not self._lines.interactive:
                raise
            if len(self._talk.chat.history) == turns:
                tell("cancelled: the conversation is as it was before")
        except GeminiError:
            if len(self._talk.chat.history) > turns:  # with calls that nobody will answer
                self._talk.rewind(turns)
            raise
        self._talk.save()

    def _command(self, name: str, argument: str = "") -> None:
        if name not in COMMANDS:
            raise ValueError("there is no command %s: /help lists them; to send it as a message, begin it with a blank"
                             % name)
        COMMANDS[name][2](self, argument.strip())

    def help(self, _: str) -> None:
        """List the commands."""
        rows = [(name + " " + argument, text) for name, (argument, text, _) in COMMANDS.items()]
        rows += [("!multi", "begin a message of several lines, which the line !end ends"),
                 ("Ctrl-C", "cancel an answer, and keep the conversation as it was; or give up a line")]
        say("\n".join("%-16s%s" % row for row in rows))

    def clear(self, _: str) -> None:
        """Begin anew."""
        self._talk.begin(self._talk.chat.options)
        self._attached = []
        tell("a new conversation")

    def save(self, name: str) -> None:
        """Keep the conversation from now on."""
        self._talk.save(name or self._talk.name or _wanted("/save NAME"))
        tell("%s as %s" % ("saved" if self._talk.chat.history else "it will be saved", self._talk.name))

    def load(self, name: str) -> None:
        """Go on with a saved conversation; without a name, list them."""
        if not name:
            say("\n".join(saved.names()) or "none is saved")
            return
        if self._talk.unsaved:
            raise ValueError("this conversation is not saved: /save NAME keeps it, /clear gives it up")
        self._talk.load(name)
        tell("%s: %d turns" % (name, len(self._talk.chat.history)))

    def model(self, name: str) -> None:
        """Ask another model; without a name, tell which is asked."""
        if name:
            self._set(model=name)
        tell("model: %s" % (self._talk.chat.options.model or os.environ.get("GEMINI_MODEL") or "the default"))

    def system(self, text: str) -> None:
        """Set the system prompt; without a text, show it."""
        if text:
            self._set(system_prompt="" if text == "-" else text)
        tell("system prompt: %s" % (self._talk.chat.options.system_prompt or "none"))

    def attach(self, name: str) -> None:
        """Take a file for the next message."""
        self._attached.append(self._inputs.part(os.path.expanduser(name or _wanted("/attach FILE"))))
        tell("%d with the next message" % len(self._attached))

    def tools(self, _: str) -> None:
        """List the tools."""
        declared = self._talk.chat.options.toolbox.to_api()
        tools = [tool for entry in declared for tool in entry.get("functionDeclarations", ())]
        say("\n".join("%-16s%s" % (tool["name"], tool.get("description", "").partition("\n")[0]) for tool in tools)
            or "no tools: start with --tool module:function")

    def quit(self, _: str) -> None:
        """Leave."""
        raise EOFError

    def _set(self, **changes: Any) -> None:
        self._talk.chat.options = self._talk.chat.options.replace(**changes)


COMMANDS: Dict[str, Tuple[str, str, Callable[[Repl, str], None]]] = {
    "/help": ("", "list the commands", Repl.help),
    "/clear": ("", "begin a new conversation, with the same model, system prompt and tools", Repl.clear),
    "/save": ("NAME", "save the conversation, now and after each answer", Repl.save),
    "/load": ("NAME", "go on with a saved conversation; without a name, list them", Repl.load),
    "/model": ("NAME", "ask another model; without a name, tell which is asked", Repl.model),
    "/system": ("TEXT", "set the system prompt, '-' for none; without a text, show it", Repl.system),
    "/attach": ("FILE", "send a file or a URL with the next message", Repl.attach),
    "/tools": ("", "list the functions that the model may call", Repl.tools),
    "/quit": ("", "leave, as Ctrl-D does", Repl.quit),
}


class Lines:
    """The lines of standard input: edited and remembered at a terminal, as they are in a pipe."""

    def __init__(self) -> None:
        self.interactive = not is_piped()
        self._edited = self.interactive and sys.stdout.isatty()
        self._readline = _readline() if self._edited else None
        self._path = saved.home() / "history"
        if self._readline is not None:
            for line in _remembered(self._path):
                self._readline.add_history(line)
        if isinstance(sys.stdin, io.TextIOWrapper):
            sys.stdin.reconfigure(errors="replace")

    def read(self, prompt: str) -> str:
        """The next line, without its end; EOFError if there is none."""
        try:
            line = input(prompt) if self._edited else self._plain(prompt)
        except (EOFError, OSError):  # OSError: the terminal is gone
            if self.interactive:
                say("")
            raise EOFError from None
        if self._readline is not None and line.strip():
            _remember(self._path, line)
        return line

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """Ctrl-C at a terminal ends what is done here, and no more."""
        try:
            yield
        except KeyboardInterrupt:
            if not self.interactive:
                raise
            say("")

    def _plain(self, prompt: str) -> str:
        if self.interactive:
            print(prompt, end="", file=sys.stderr, flush=True)
        line = b"" if sys.stdin is None else sys.stdin.buffer.readline()
        if not line:
            raise EOFError
        return decoded(line).rstrip("\r\n")


def say(text: str) -> None:
    """Print what a command was asked for; on standard error, because it is no answer."""
    print(printable(text), file=sys.stderr, flush=True)


def _wanted(usage: str) -> str:
    raise ValueError("write %s" % usage)


def _readline() -> Any:
    """The module, which is not there on Windows and in some builds of Python."""
    try:
        import readline
        return readline
    except ImportError:
        return None


def _remembered(path: Path) -> List[str]:
    """The last lines of earlier chats."""
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
        if len(lines) > 2 * _REMEMBERED:
            files_on_disk.write(path, "".join(line + "\n" for line in lines[-_REMEMBERED:]).encode("utf-8"), 0o600)
    except OSError:
        return []
    return lines[-_REMEMBERED:]


def _remember(path: Path, line: str) -> None:
    """Add to the history, at once: a chat may be killed."""
    with contextlib.suppress(OSError):
        os.makedirs(path.parent, 0o700, exist_ok=True)
        with open(path, "a", encoding="utf-8", errors="replace", opener=_private) as file:
            file.write(" ".join(line.split("\n")) + "\n")


def _private(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)
