"""Run examples/notebook.ipynb against the stand-in, and write it with the outputs of its cells.

    python tools/run_notebook.py [FILE]     # in place, or into FILE

Needs ipykernel and nbclient. The test in tests/notebook fails where the outputs no longer belong to the cells.
"""
from __future__ import annotations

import os
import pathlib
import sys
import tempfile

import nbclient
import nbformat

from gemini_lite.demo import demo

NOTEBOOK = pathlib.Path(__file__).parent.parent / "examples" / "notebook.ipynb"


def main(target: pathlib.Path) -> None:
    """Run every cell in an empty folder; of the metadata only what the notebook had is kept."""
    book = nbformat.read(NOTEBOOK, as_version=4)
    metadata = book.metadata.copy()
    with demo() as server, tempfile.TemporaryDirectory() as folder:
        os.environ.update(GEMINI_API_KEY="demo", GOOGLE_GEMINI_BASE_URL=server.url)
        nbclient.NotebookClient(book, timeout=120, record_timing=False,
                                resources={"metadata": {"path": folder}}).execute()
    book.metadata = metadata
    target.write_text(nbformat.writes(book) + "\n", "utf-8")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]) if sys.argv[1:] else NOTEBOOK)
