"""mypy and pyright find every planted mistake, and nothing in code that is right: ``tox -e typing``."""
from __future__ import annotations

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
from typing import Dict, List

import pytest

import gemini_lite

HERE = pathlib.Path(__file__).parent
ENVIRONMENT = {**os.environ, "MYPYPATH": str(pathlib.Path(gemini_lite.__file__).parent.parent)}


def planted(name: str) -> List[int]:
    lines = (HERE / name).read_text("utf-8").splitlines()
    return [number for number, line in enumerate(lines, 1) if line.endswith("  # error")]


def mypy(name: str, folder: pathlib.Path) -> Dict[int, str]:
    """The errors of ``mypy --strict`` by line."""
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--no-error-summary",
               f"--cache-dir={folder}", str(HERE / name)]
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT, cwd=folder,
                         universal_newlines=True)
    assert run.returncode in (0, 1), run.stdout + run.stderr
    found = re.findall(rf"{name}:(\d+): error: (.*)", run.stdout)
    return {int(line): text for line, text in found}


def pyright(name: str, folder: pathlib.Path) -> Dict[int, str]:
    """The errors of pyright's strict mode by line."""
    settings = {"typeCheckingMode": "strict", "include": [name], "reportUnusedExpression": False,
                "reportUnusedCallResult": False, "extraPaths": [ENVIRONMENT["MYPYPATH"]],
                "reportUnnecessaryTypeIgnoreComment": False}
    shutil.copy(HERE / name, folder)  # pyright takes files below its project only
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "pyright", "--outputjson", "--project", str(folder), "--pythonpath",
               sys.executable]
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT, cwd=folder,
                         universal_newlines=True)
    assert run.returncode in (0, 1), run.stdout + run.stderr
    report = json.loads(run.stdout[run.stdout.index("{"):])
    assert report["summary"]["filesAnalyzed"] == 1
    return {item["range"]["start"]["line"] + 1: item["message"]
            for item in report["generalDiagnostics"] if item["severity"] == "error"}


@pytest.mark.parametrize("checker", [mypy, pyright])
class TestCheckers:
    def test_every_planted_mistake_is_found_and_nothing_else(self, checker, tmp_path: pathlib.Path) -> None:
        found, expected = checker("wrong.py", tmp_path), planted("wrong.py")
        assert len(expected) >= 20
        assert [line for line in expected if line not in found] == [], "not found"
        assert {line: text for line, text in found.items() if line not in expected} == {}, "nobody planted these"

    def test_correct_code_is_accepted(self, checker, tmp_path: pathlib.Path) -> None:
        assert checker("right.py", tmp_path) == {}
