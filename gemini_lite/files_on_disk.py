"""Files that are written whole or not at all, and the lock that processes take turns with."""
from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
import time
from typing import BinaryIO, Callable, Iterator, Optional, Union

StrPath = Union[str, "os.PathLike[str]"]

_POLL_SECONDS = 0.01  # between two tries to get a lock
_LOCKS_UNSUPPORTED = (  # the error numbers of a file system that has no locks
    errno.ENOLCK, errno.ENOSYS, getattr(errno, "ENOTSUP", errno.ENOSYS),
)


def write(path: StrPath, data: bytes, mode: Optional[int] = None) -> None:
    """Put `data` at `path`, see `replacing`; until that is done, the old file stays."""
    with replacing(path, mode) as file:
        file.write(data)


@contextlib.contextmanager
def replacing(path: StrPath, mode: Optional[int] = None) -> Iterator[BinaryIO]:
    """A new file that takes the place of `path` at the end; an error keeps the old one.

    It has `mode` less the umask; without one the mode of the old file, or what is usual where there is none. A link
    stays a link, to the new file; a device or a pipe takes what is written at once. A process that is killed leaves a
    file beside the old one whose name ends in ``.part``.
    """
    if is_special(path):
        with open(path, "wb") as special:
            yield special
        return
    place = os.path.realpath(path)
    kept = stat.S_IMODE(os.stat(place).st_mode) if mode is None and os.path.isfile(place) else None
    folder, name = os.path.split(place)
    temporary = os.path.join(folder, f"{name[:60]}.{os.urandom(4).hex()}.part")  # of at most 255 bytes
    try:
        with open(temporary, "xb", opener=lambda name, flags: os.open(name, flags, mode or kept or 0o666)) as file:
            if kept is not None:
                os.chmod(temporary, kept)  # the umask may have taken some of it
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, place)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def is_special(path: StrPath) -> bool:
    """Whether there is a device, a pipe or a folder at `path`, which no file may replace."""
    return os.path.exists(path) and not os.path.isfile(path)


@contextlib.contextmanager
def locked(path: StrPath, seconds: float, pause: Callable[[float], None]) -> Iterator[None]:
    """Hold the lock file `path`, as one thread of one process at a time can; `pause(seconds)` sleeps between tries.

    It is the operating system's lock, which ends with its process: a file that was left behind holds nobody back.
    TimeoutError if the lock is not free within `seconds`. Where a file system has no locks, nobody is held back.
    """
    file = _open_locked(path, time.monotonic() + seconds, pause)
    try:
        yield
    finally:
        if sys.platform != "win32":  # Windows removes no open file
            with contextlib.suppress(OSError):
                os.unlink(path)
        with contextlib.suppress(OSError):
            _unlock(file)  # at once, though a forked child has the file open too
        file.close()


def _open_locked(path: StrPath, until: float, pause: Callable[[float], None]) -> BinaryIO:
    while True:
        file = open(path, "ab", opener=lambda name, flags: os.open(name, flags, 0o600))
        try:
            if _try_lock(file) and _is_at(file, path):
                return file
        except BaseException:
            file.close()
            raise
        file.close()
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError(errno.ETIMEDOUT, "another process did not release the lock in time", os.fspath(path))
        pause(min(_POLL_SECONDS, left))


def _is_at(file: BinaryIO, path: StrPath) -> bool:
    """Whether `file` is still the one at `path`: the process that held the lock removes it."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


if sys.platform == "win32":
    import msvcrt

    def _try_lock(file: BinaryIO) -> bool:
        file.seek(0)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True

    def _unlock(file: BinaryIO) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)
else:
    import fcntl

    def _try_lock(file: BinaryIO) -> bool:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in _LOCKS_UNSUPPORTED:
                raise
        return True

    def _unlock(file: BinaryIO) -> None:
        fcntl.flock(file.fileno(), fcntl.LOCK_UN)
