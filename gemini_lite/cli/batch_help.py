"""The arguments of ``gemini-lite batch``, and its help."""
from __future__ import annotations

import argparse
from typing import Optional

from .map_help import MapArguments, add_request_arguments

EXAMPLES = """\
Half the price of 'gemini-lite map', and up to a day. The input and the output are those of 'map'. One job answers all
prompts that have no line in the output; what it leaves out, the same command hands in again, and 'map' answers at once.
A file beside the output, whose name ends in .batch.json, says which job that is.

examples:
  gemini-lite batch prompts.jsonl -o answers.jsonl     waits, or goes on
  gemini-lite batch prompts.jsonl -o answers.jsonl --submit
  gemini-lite batch -o answers.jsonl --status
  gemini-lite batch prompts.jsonl -o answers.jsonl --collect
  gemini-lite batch -o answers.jsonl --cancel

Exit codes: 0 all are answered (or handed in, shown, cancelled), 1 some failed, 2 wrong usage, 3 stopped or not ended,
and the same line goes on, 130 interrupted.
"""


class BatchArguments(MapArguments):
    """The arguments of the command."""

    step: Optional[str]
    again: bool


def add_batch_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    add = parser.add_argument
    add("input", nargs="?", help="a .jsonl, .csv, .tsv or text file; '-' is standard input")
    add("-o", "--output", dest="output_file", metavar="FILE", required=True,
        help="JSON Lines, gone on with if it is there")
    steps = parser.add_mutually_exclusive_group()
    for name, text in (("submit", "hand in, and do not wait"), ("collect", "take in the results, if there are any"),
                       ("status", "say how far the job is"), ("cancel", "stop the job")):
        steps.add_argument(f"--{name}", dest="step", action="store_const", const=name, help=text)
    add("--again", action="store_true",
        help="where nobody can know whether the job was made: make one if it is not there; it may be paid for twice")
    add_request_arguments(parser)
    add("--retry-errors", choices=("transient", "all", "none"), default="transient",
        help="which errors in the output are tried again (default: transient)")
    add("-q", "--quiet", action="store_true", help="no progress and no summary")
