"""The arguments of ``gemini-lite record``, and its help."""
from __future__ import annotations

import argparse

EXAMPLES = """\
It listens on 127.0.0.1, passes everything on to one server, and writes down what is asked and answered, until Ctrl-C.
The file is for you alone. API keys, tokens, project ids and the addresses of uploads are replaced in it; prompts and
answers are kept, unless you write --redact-text. Programs bring their own key. With --send-key they need none, and
whoever may use this machine can ask at your cost while it runs.

examples:
  gemini-lite record -o cassette.jsonl
  gemini-lite record -o cassette.jsonl --redact-text --port 9000
  gemini-lite record -o cli.jsonl --upstream https://cloudcode-pa.googleapis.com

In a second shell, a program made with gemini_lite or google-genai, and Gemini CLI with a Google sign-in:
  GOOGLE_GEMINI_BASE_URL=http://127.0.0.1:8080 python my_program.py
  CODE_ASSIST_ENDPOINT=http://127.0.0.1:8080 gemini

Later, in a test, FakeGemini.from_recording("cassette.jsonl") gives the same answers without a network.
"""


class RecordArguments(argparse.Namespace):
    """The arguments of the command."""

    output_file: str
    upstream: str
    port: int
    redact_text: bool
    send_key: bool
    demo: bool


def add_record_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    add = parser.add_argument
    add("-o", "--output", dest="output_file", metavar="FILE", required=True,
        help="JSON Lines; a file that is there is replaced")
    add("--port", type=int, default=8080, metavar="NUMBER", help="the port; 0 for a free one (default: 8080)")
    add("--upstream", metavar="URL",
        help="the server to pass everything on to (default: GOOGLE_GEMINI_BASE_URL, else Google's)")
    add("--redact-text", action="store_true", help="hashes in place of prompts and answers")
    add("--send-key", action="store_true", help="send your key (GEMINI_API_KEY) in place of what a program has")
