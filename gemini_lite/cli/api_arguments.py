"""The arguments of the commands for files, caches and embeddings, and their help."""
from __future__ import annotations

import argparse

FILES_HELP = """\
actions:
  list (the default)    upload FILE...    delete NAME...    download NAME

examples:
  gemini-lite files upload talk.mp4
  gemini-lite files upload --state talk.upload talk.mp4     goes on, too
  pg_dump mydb | gemini-lite files upload --type text/plain -
  gemini-lite files download files/batch-abc -o results.jsonl
  gemini-lite files -f json | jq -r '.[].name'
"""
CACHES_HELP = """\
actions:
  list (the default)    create FILE...    extend NAME...    delete NAME...

examples:
  gemini-lite caches create book.pdf --model gemini-2.5-flash --ttl 7200
  gemini-lite caches extend cachedContents/abc --ttl 3600
  gemini-lite caches delete cachedContents/abc
"""
EMBED_HELP = """\
Each line of the file is an item; empty lines are left out. Of a .csv, .tsv or .jsonl file, --prompt "{column}" says
what of each row is its item. The output is JSON Lines ({"text": ..., "embedding": [...]}) on standard output or in a
.jsonl file, or a NumPy array of doubles, a row for each item, in a .npy file.

examples:
  gemini-lite embed lines.txt -o vectors.jsonl
  gemini-lite embed reviews.csv --prompt "{text}" -o vectors.jsonl
  sort words | gemini-lite embed - -o w.npy --dimensions 768 --normalize
"""


def add_files_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``files``."""
    _add_action(parser, "list", "upload", "delete", "download")
    parser.add_argument("--type", metavar="TYPE/SUBTYPE", help="upload: the MIME type, if the name does not tell it")
    parser.add_argument("--name", help="upload: the id that the file gets")
    parser.add_argument("--display-name", metavar="TEXT", help="upload: its name for people")
    parser.add_argument("--state", metavar="FILE",
                        help="upload: where a broken off upload is noted, and gone on with; keep it secret")
    parser.add_argument("--no-wait", action="store_true", help="upload: do not wait until the file can be used")
    parser.add_argument("-o", "--output", metavar="FILE", help="download: where to (default: standard output)")
    parser.add_argument("-f", "--format", choices=("text", "json"), default="text", help="json: as the API has it")


def add_caches_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``caches``."""
    _add_action(parser, "list", "create", "extend", "delete")
    parser.add_argument("-m", "--model", help="create: the model that the cache is for")
    parser.add_argument("-s", "--system", metavar="TEXT", help="create: a system prompt that goes into the cache")
    parser.add_argument("--ttl", type=float, metavar="SECONDS", help="create, extend: how long it is kept")
    parser.add_argument("--display-name", metavar="TEXT", help="create: its name for people")
    parser.add_argument("-f", "--format", choices=("text", "json"), default="text", help="json: as the API has it")


def add_embed_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``embed``."""
    parser.add_argument("file", metavar="FILE", help="a text file, '-' for standard input; or a table")
    parser.add_argument("--prompt", metavar="TEXT", help="the item for each row: {column} becomes the row's value")
    parser.add_argument("-o", "--output", metavar="FILE", help="a .jsonl or .npy file (default: standard output)")
    parser.add_argument("-m", "--model", help="the embedding model")
    parser.add_argument("--task", metavar="TYPE", help="such as RETRIEVAL_DOCUMENT, where the model knows task types")
    parser.add_argument("--dimensions", type=int, metavar="NUMBER", help="the length of the vectors")
    parser.add_argument("--normalize", action="store_true", help="give each vector the length 1")
    parser.add_argument("--concurrency", type=int, default=4, metavar="NUMBER", help="calls at a time (%(default)s)")


def _add_action(parser: argparse.ArgumentParser, *actions: str) -> None:
    parser.add_argument("action", nargs="?", choices=actions, default="list", help="what to do (%(default)s)")
    parser.add_argument("items", nargs="*", metavar="FILE or NAME", help="what to do it with")
