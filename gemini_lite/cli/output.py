"""The file that --output names, in the place of standard output."""
from __future__ import annotations

import contextlib
import io
import mimetypes
import os
import sys
from typing import Iterator, Optional, Sequence

from .. import files_on_disk
from ..errors import GeminiError
from ..media import Blob
from .writers import PlainWriter


@contextlib.contextmanager
def open_output(path: Optional[str]) -> Iterator[None]:
    """Send standard output to the file `path`, which is written whole at the end; None changes nothing.

    GeminiError, before the command runs, if it cannot be written. An error or exit in the block keeps the old file.
    Where `save_first_file` has written the file, the text goes to standard output after all.
    """
    if path is None:
        yield
        return
    _check_can_write(path)
    text = _OutputText()
    with contextlib.redirect_stdout(text):
        yield
    if text.has_file:
        PlainWriter(sys.stdout).write(text.getvalue())
    elif text.getvalue():
        try:
            files_on_disk.write(path, text.getvalue().encode("utf-8", "backslashreplace"))
        except OSError as error:
            raise _failure(path, error) from None


class _OutputText(io.StringIO):
    """Standard output while there is an output file; `has_file` if that holds a picture or a sound, and no text."""

    has_file = False


def save_first_file(files: Sequence[Blob], path: Optional[str]) -> Optional[Blob]:
    """Write the first file of an answer whose kind is that of the name `path`, and return it; None if none is."""
    kind = (mimetypes.guess_type(path or "")[0] or "").partition("/")[0]
    for file in files:
        if path is not None and kind in ("image", "audio", "video") and file.mime_type.startswith(kind):
            try:
                file.save(path)
            except OSError as error:
                raise _failure(path, error) from None
            if isinstance(sys.stdout, _OutputText):
                sys.stdout.has_file = True
            return file
    return None


def _check_can_write(path: str) -> None:
    """GeminiError unless a file can be made at `path`; an old one stays as it is."""
    try:
        if os.path.isdir(path):
            raise IsADirectoryError(0, "it is a folder")
        if not files_on_disk.is_special(path):
            probe = f"{os.path.realpath(path)}.{os.urandom(4).hex()}"  # no file of the user's
            files_on_disk.write(probe, b"")
            os.unlink(probe)
    except OSError as error:
        raise _failure(path, error) from None
    except ValueError as error:  # a null byte
        raise GeminiError(f"{path!r} cannot be written: {error}") from None


def _failure(path: str, error: OSError) -> GeminiError:
    return GeminiError(f"{path} cannot be written: {error.strerror}")
