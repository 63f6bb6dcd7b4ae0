"""The laws of the help: what the documentation and --help say is what is taken, and nothing is left out."""
from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import List, Set

import pytest

from gemini_lite.cli import arguments, chat_loop, main, saved

PAGE = Path(__file__).parent.parent.parent / "docs" / "command-line.rst"
TEXT = PAGE.read_text("utf-8") if PAGE.exists() else ""
SECTION = TEXT
page = pytest.mark.skipif(not TEXT, reason="there is no documentation beside the installed tests")

PARSERS = arguments.make_parsers()
FLAGS = {flag for parser in PARSERS.values() for action in parser._actions for flag in action.option_strings} - {"-h"}
FLAG = r"(?<![\w-])--?[a-zA-Z][\w-]*"


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")


def examples(text: str) -> List[List[str]]:
    """The arguments of each gemini-lite in the examples of `text`."""
    lines = re.findall(r"^(?: {2,}(?:.*\| )?|.*?=true )gemini-lite (.+)$", text, re.MULTILINE)
    return [shlex.split(re.split(r" \| | >+ |  +", line)[0]) for line in lines]


@page
def test_the_page_names_every_flag_and_no_other() -> None:
    assert set(re.findall(rf"``({FLAG})", SECTION)) == FLAGS


@page
def test_the_page_names_every_command_and_no_other() -> None:
    assert set(re.findall(r"^``gemini-lite (\w+)", SECTION, re.MULTILINE)) == set(PARSERS) == set(main._COMMANDS)
    assert set(re.findall(r"``(/[a-z]+)", SECTION)) == set(chat_loop.COMMANDS)
    usages = set(re.findall(r"``(/[a-z]+ [A-Z]+)``", SECTION))
    assert usages == {f"{name} {command.argument}" for name, command in chat_loop.COMMANDS.items() if command.argument}


@page
def test_the_page_names_where_conversations_are(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {"GEMINI_LITE_HOME", "XDG_DATA_HOME"} <= set(re.findall(r"[A-Z_]{8,}", SECTION))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.delenv("GEMINI_LITE_HOME", raising=False)
    for platform in ("linux", "darwin"):
        monkeypatch.setattr("sys.platform", platform)
        assert f"``~/{saved.data_folder().relative_to(Path.home()).as_posix()}``" in SECTION


@page
def test_every_example_of_the_page_is_taken() -> None:
    found = examples(SECTION)
    assert len(found) >= 10
    for argv in found:
        assert arguments.parse_arguments(argv)[1].command in PARSERS


@pytest.mark.parametrize("name", sorted(PARSERS))
def test_the_help_of_each_command_teaches(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main.main([name, "--help"])
    text = capsys.readouterr().out
    assert caught.value.code == 0
    flags = {flag for action in PARSERS[name]._actions for flag in action.option_strings}
    assert set(re.findall(FLAG, text)) - flags <= (FLAGS if name == "prompt" else {"-r", "-f", "-o", "-c"})
    assert all(action.help for action in PARSERS[name]._actions) and (PARSERS[name].epilog or "").strip()
    for argv in examples(text):
        assert arguments.parse_arguments(argv)[1].command in ("prompt", name)


def test_the_help_names_the_commands_the_variables_and_the_exit_codes() -> None:
    text = arguments.make_parser().format_help()
    commands: Set[str] = set(re.findall(r"^  ([a-z]+)  ", text.partition("Any other")[0], re.M))
    assert commands == set(PARSERS)
    for word in ("GEMINI_API_KEY", " 0 done", " 1 ", " 2 wrong", "130 "):
        assert word in text
    for word in ("GEMINI_API_KEY", "GOOGLE_API_KEY", "GEMINI_MODEL", "GEMINI_LITE_HOME", "NO_COLOR"):
        assert word in PARSERS["prompt"].format_help()


@pytest.mark.parametrize("width", [80, 100, 140])
def test_the_help_fits_its_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    for parser in PARSERS.values():
        assert max(map(len, parser.format_help().splitlines())) <= width
