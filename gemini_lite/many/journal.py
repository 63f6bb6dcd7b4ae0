"""A file of results that only grows: one line for each key, written by one process at a time, resumable after a crash.
"""
from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from typing import Callable, Iterator, List, Optional, Union

from .. import files_on_disk
from ..api.known_keys import KnownKeys
from ..errors import GeminiError
from ..json_data import JSON
from ..response import Result
from ..transport import retry
from .records import LOST, hash_of, hash_request, is_error, is_of_demo, is_transient, to_line
from .results_file import read_lines
from .senders import Task
from .sent_keys import SentKeys

_BYTES_A_LINE = 200  # at least, in most files: to guess how many keys there are
_RETRIED = {
    "transient": is_transient, "all": lambda record: True, "none": lambda record: False,
}


class Journal:
    """The results of a run at `path`; a context manager that holds the file's lock while it is open.

    What a crash can cost, and what the arguments mean, stands at `GeminiClient.map_to`. While it is open, there is a
    lock file beside the file, whose name ends in ``.lock``.
    """

    def __init__(
        self, path: Union[str, "os.PathLike[str]"], *, resume: bool = True, retry_errors: str = "transient",
        fsync_every: float = 1.0, on_crash: str = "resend", is_demo: bool = False,
    ) -> None:
        if retry_errors not in _RETRIED:
            raise ValueError(f"retry_errors is 'transient', 'all' or 'none', not {retry_errors!r}")
        if on_crash not in ("resend", "report"):
            raise ValueError(f"on_crash is 'resend' or 'report', not {on_crash!r}")
        if isinstance(fsync_every, bool) or not isinstance(fsync_every, (int, float)) or not fsync_every >= 0:
            raise ValueError(f"fsync_every is a number of seconds, 0 for every line, not {fsync_every!r}")
        self.path = os.path.realpath(os.fspath(path))  # one lock for all links to the file
        self._resume, self._fsync_every, self._is_demo = resume, fsync_every, is_demo
        self._is_retried: Callable[[JSON], bool] = _RETRIED[retry_errors]
        self._sent = SentKeys(f"{self.path}.sent", is_wanted=on_crash == "report")
        self._open = contextlib.ExitStack()
        self._known = KnownKeys()
        self.failed_before = 0  # errors in the file that are not tried again
        self._file, self._size = -1, 0
        self._synced_at = 0.0

    def __enter__(self) -> Journal:
        with contextlib.ExitStack() as stack:
            stack.enter_context(_locked(self.path))
            self._check_appendable()
            self._known = self._read_and_mend()
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
            self._file = os.open(self.path, flags, 0o600)
            stack.callback(self._close_file)
            self._size = os.fstat(self._file).st_size
            self._synced_at = time.monotonic()
            self._report_lost()
            stack.callback(self._sent.close)
            self._open = stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._open.close()

    def __len__(self) -> int:
        return len(self._known)

    # What a run calls

    def admit(self, key: str, request: JSON, model: str) -> Optional[int]:
        """A hash of the request, or None if `key` has its result; ValueError if that answers another request."""
        return self.admit_hash(key, hash_request(request, model))

    def admit_hash(self, key: str, hash: int) -> Optional[int]:
        """`admit` for a request of that `hash`."""
        known = self._known.see(key)
        if known is None:
            self._known.add(key, hash, seen=True)
            return hash
        if known and hash and known != hash:
            raise ValueError(f"the prompt with the key {key!r} is not the one that {self.path} has the result of: the "
                             "prompt, the options or the model changed. Give another file, or the prompt as it was")
        return None

    def sending(self, task: Task) -> None:
        """Note that a prompt goes out, if that is wanted."""
        self._sent.add(task.key, task.hash, task.index)

    def add(self, result: Result, hash: int, model: str) -> None:
        """Write one result; on OSError (a full disk) the file is as it was before."""
        self._append(to_line(result, hash, model, is_demo=self._is_demo))
        now = time.monotonic()
        if now - self._synced_at >= self._fsync_every:
            os.fsync(self._file)
            self._synced_at = now

    def end(self, lost: List[Task]) -> None:
        """Put all on the disk; only those `lost` were sent and have no result."""
        os.fsync(self._file)
        self._sent.replace([(task.key, task.hash, task.index) for task in lost])

    # How it opens and closes

    def _check_appendable(self) -> None:
        """ValueError if results cannot be appended to the file; FileExistsError if it has some and may not go on."""
        try:
            found = os.stat(self.path)
        except FileNotFoundError:
            return
        if not stat.S_ISREG(found.st_mode):
            raise ValueError(f"{self.path} is no regular file: results are kept in one that can be read again")
        if found.st_size and not self._resume:
            raise FileExistsError(errno.EEXIST, "the file holds results already: write resume=True to go on with them, "
                                                "or give another name", self.path)

    def _read_and_mend(self) -> KnownKeys:
        """The keys in the file, which is mended: no torn last line, no errors that are to be tried again."""
        try:
            file = open(self.path, "rb")
        except FileNotFoundError:
            return KnownKeys()
        with file:
            known = KnownKeys(os.fstat(file.fileno()).st_size // _BYTES_A_LINE)
            is_to_rewrite, end, last = False, 0, b"\n"
            for line in read_lines(file, self.path):
                if line.record is None:
                    break
                self._check_origin(line.record)
                end, last = line.start + len(line.data), line.data
                if is_error(line.record):
                    if self._is_retried(line.record):
                        is_to_rewrite = True
                        continue
                    self.failed_before += 1
                key = line.record["key"]
                if key in known:
                    raise ValueError(f"line {line.number} of {self.path} has the key {key!r}, which stands there "
                                     "before. Nothing was changed; take one of the two out")
                known.add(key, hash_of(line.record), seen=False)
        self._mend(is_to_rewrite, end, last)
        return known

    def _check_origin(self, record: JSON) -> None:
        """ValueError for an answer of the demo in the file of a model, or of a model in the file of the demo."""
        if is_of_demo(record) and not self._is_demo:
            raise ValueError(f"{self.path} was written by the demo, whose answers are made up: give another name, or "
                             "remove the file")
        if self._is_demo and not is_of_demo(record):
            raise ValueError(f"{self.path} has the answers of a model, and this is the demo: give another name")

    def _mend(self, is_to_rewrite: bool, end: int, last: bytes) -> None:
        """Leave the first `end` bytes; what is to be tried again is taken out of them, whole or not at all."""
        if is_to_rewrite:
            with open(self.path, "rb") as old, files_on_disk.replacing(self.path) as new:
                for line in read_lines(old, self.path):
                    if line.record is not None and not (is_error(line.record) and self._is_retried(line.record)):
                        new.write(line.data if line.data.endswith(b"\n") else line.data + b"\n")
            return
        if end < os.stat(self.path).st_size:
            os.truncate(self.path, end)
        if not last.endswith(b"\n"):  # whole but for its end
            with open(self.path, "ab") as file:
                file.write(b"\n")

    def _report_lost(self) -> None:
        """Write an error for each prompt that a crashed run had sent and has no result of."""
        for key, hash, index in self._sent.open():
            if key not in self._known:
                error = GeminiError("This prompt was sent and may be billed, and a crash took its answer. It is sent "
                                    "again with retry_errors='all'.", reason=LOST)
                self._append(to_line(Result(index, key, None, error), hash, "", is_demo=self._is_demo))
                self._known.add(key, hash, seen=False)
        os.fsync(self._file)
        self._sent.replace([])

    def _append(self, line: bytes) -> None:
        view = memoryview(line)
        try:
            while view:
                view = view[os.write(self._file, view):]
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._size)
            raise OSError(error.errno, f"a result could not be written ({error.strerror}); all before it is kept, and "
                                       "the same call goes on from there", self.path) from None
        self._size += len(line)

    def _close_file(self) -> None:
        os.close(self._file)


@contextlib.contextmanager
def _locked(path: str) -> Iterator[None]:
    lock = files_on_disk.locked(f"{path}.lock", 0, retry.pause)
    try:
        lock.__enter__()
    except TimeoutError:
        raise BlockingIOError(errno.EAGAIN, "another process is writing these results: wait for it, or give another "
                                            "name", path) from None
    except OSError as error:
        raise OSError(error.errno, f"results cannot be written here ({error.strerror})", path) from None
    try:
        yield
    finally:
        lock.__exit__(None, None, None)
