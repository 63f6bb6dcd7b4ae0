"""The arguments of ``gemini-lite map``, and its help."""
from __future__ import annotations

import argparse
from typing import List, Optional

EXAMPLES = """\
The input is .jsonl (each line a JSON string, {"key": ..., "prompt": ...}, {"key": ..., "request": ...} as for Gemini's
Batch API, or OpenAI's {"custom_id": ..., "body": ...}), .csv, .tsv, or any other text, a prompt on each line. For .csv
and .jsonl with other fields write --prompt with {column} in it. The output is JSON Lines, one for each key.

examples:
  gemini-lite map prompts.txt -o answers.jsonl
  gemini-lite map rows.csv --prompt "Good or bad? {text}" --key id -o out.jsonl
  gemini-lite map rows.csv --prompt "Who? {text}" --schema who.json -o out.jsonl
  gemini-lite map rows.csv --prompt "{text}?" --set seed=7 -o out.jsonl
  zcat prompts.txt.gz | gemini-lite map - -o - | jq -r .key

a table of the output:
  jq -r '[.key, .response.candidates[0].content.parts[0].text, .error.message]
    | @csv' answers.jsonl > answers.csv

Stop it with Ctrl-C, and write the same line to go on. Exit codes: 0 all are answered, 1 some failed, 2 wrong usage,
3 stopped, and the same line goes on, 130 interrupted.
"""


class MapArguments(argparse.Namespace):
    """The arguments of the command."""

    input: str
    output_file: str
    input_format: Optional[str]
    prompt: Optional[str]
    key: Optional[str]
    model: Optional[str]
    system: Optional[str]
    temperature: Optional[float]
    schema: Optional[str]
    settings: List[str]  # --set
    concurrency: int
    requests_per_minute: Optional[float]
    max_errors: Optional[int]
    retry_errors: str
    on_crash: str
    no_resume: bool
    quiet: bool
    demo: bool


def add_map_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    add = parser.add_argument
    add("input", help="a .jsonl, .csv, .tsv or text file; '-' is standard input")
    add("-o", "--output", dest="output_file", metavar="FILE", required=True,
        help="JSON Lines, gone on with if it is there; '-' is standard output, which cannot be")
    add_request_arguments(parser)
    add("--concurrency", type=int, default=64, metavar="N", help="prompts at a time (default: 64)")
    add("--rate", dest="requests_per_minute", type=float, metavar="N", help="at most N requests a minute")
    add("--max-errors", type=int, metavar="N", help="stop when more than N prompts failed")
    add("--retry-errors", choices=("transient", "all", "none"), default="transient",
        help="which errors in the output are tried again (default: transient)")
    add("--on-crash", choices=("resend", "report"), default="resend",
        help="what a killed run had sent: sent again (default), or an error, so that nothing is paid for twice")
    add("--no-resume", action="store_true", help="refuse an output that is there")
    add("-q", "--quiet", action="store_true", help="no progress and no summary")


def add_request_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what says how the rows of a file become requests."""
    add = parser.add_argument
    add("--input-format", choices=("jsonl", "csv", "tsv", "txt"), help="in place of what the name says")
    add("--prompt", metavar="TEXT", help="the prompt for each row: {column} becomes the row's value")
    add("--key", metavar="COLUMN", help="the column that names a row (default: its number)")
    add("-m", "--model", help="the model's name")
    add("-s", "--system", metavar="TEXT", help="a system prompt")
    add("-t", "--temperature", type=float, metavar="NUMBER", help="0 is the most predictable")
    add("--set", metavar="NAME=VALUE", dest="settings", action="append", default=[],
        help="any field of GeminiOptions, such as max_output_tokens=9 or thinking_budget=0")
    add("--schema", help="every answer is JSON that fits: a JSON Schema file, or 'name, age int, tags list'")
