"""The conversations command: lists, shows, searches, deletes and exports what was saved."""
from __future__ import annotations

import datetime
from typing import Iterator, List, Tuple

from ..errors import GeminiError
from ..json_data import JSON, list_of_dicts, str_or_none
from ..json_data.previews import shorten
from . import saved
from .arguments import Arguments
from .inputs import stdin_is_piped
from .printer import Printer
from .saved import ChatRecord
from .standard_error import confirm, print_status

_USES = {"show": "show NAME", "search": "search TEXT", "delete": "delete NAME", "export": "export NAME"}


def run_conversations(arguments: Arguments) -> int:
    """Do what ``arguments.action`` names, and return the exit code."""
    if arguments.action in _USES and not arguments.words:
        raise ValueError(f"write: gemini-lite conversations {_USES[arguments.action]}")
    if arguments.action == "list":
        _list(arguments)
    elif arguments.action == "search":
        return _search(" ".join(arguments.words), arguments)
    elif arguments.action == "delete":
        return _delete(arguments.words, ask=not arguments.yes)
    else:
        for name in arguments.words:
            _show(name, arguments, as_markdown=arguments.action == "export")
    return 0


def turn_text(turn: JSON) -> str:
    """The text of a turn, without thoughts; what is no text is only named."""
    texts: List[str] = []
    for part in list_of_dicts(turn.get("parts")):
        text = str_or_none(part.get("text"))
        if text is None:
            texts.append(f"({', '.join(name for name in part if name != 'thoughtSignature')})")
        elif not part.get("thought"):
            texts.append(text)
    return "".join(texts)


def _records() -> Iterator[Tuple[str, ChatRecord]]:
    """What is saved, by name, the last first; what cannot be read is named on standard error."""
    for name in saved.names_by_time():
        try:
            yield name, saved.ChatFile(name).read()
        except (GeminiError, ValueError) as error:  # damaged, or deleted a moment ago
            print_status(str(error))


def _list(arguments: Arguments) -> None:
    rows = []
    for name, record in _records():
        changed = datetime.datetime.fromtimestamp(saved.changed_time(name)).strftime("%Y-%m-%d %H:%M")
        first = " ".join(turn_text(record.history[0]).split()) if record.history else ""
        rows.append((name, len(record.history), changed, shorten(first, 50)))
    if arguments.format == "json":
        Printer().print_json([dict(zip(("name", "turns", "changed", "first"), row)) for row in rows])
    elif rows:
        Printer().print_table(("name", "turns", "changed", "begins with"), rows)
    else:
        print_status(f"none is saved in {saved.folder()}: --conversation NAME begins one")


def _show(name: str, arguments: Arguments, *, as_markdown: bool) -> None:
    record = saved.ChatFile(name).read()
    printer = Printer()
    if arguments.format == "json":
        printer.print_json({"name": name, **record._asdict()})
        return
    heading = "## {}\n\n{}\n\n" if as_markdown else "{}: {}\n\n"
    if record.system:
        printer.print_text(heading.format("system", record.system))
    for turn in record.history:
        printer.print_text(heading.format(turn.get("role"), turn_text(turn).strip()))


def _search(text: str, arguments: Arguments) -> int:
    """Print each turn that has `text`, in any case of letters; 1 if there is none, as grep returns."""
    found = []
    for name, record in _records():
        for number, turn in enumerate(record.history, 1):
            whole = turn_text(turn)
            position = whole.casefold().find(text.casefold())
            if position >= 0:
                excerpt = " ".join(whole[max(0, position - 30):position + len(text) + 50].split())
                found.append({"name": name, "turn": number, "role": turn.get("role"), "text": excerpt})
    if arguments.format == "json":
        Printer().print_json(found)
    else:
        for hit in found:
            Printer().print_text(f"{hit['name']}:{hit['turn']}: {hit['text']}\n")
    return 0 if found else 1


def _delete(names: List[str], *, ask: bool) -> int:
    files = [saved.ChatFile(name) for name in names]
    for file in files:
        file.read()  # refuses now what is not there
    if ask and stdin_is_piped():
        raise ValueError("nobody can be asked here: gemini-lite conversations delete NAME --yes")
    if ask and not confirm(f"delete {', '.join(names)}?"):
        return 1
    for file in files:
        file.delete()
    return 0
