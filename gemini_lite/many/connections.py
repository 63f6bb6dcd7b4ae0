"""Connections for a run: as many as it has calls in flight, if the system allows that."""
from __future__ import annotations

import os
import sys
from typing import ContextManager, Optional

from ..transport.transport import Transport

_SPARE_FILES = 32  # for the output, the input and the program itself


def transport_for(transport: Transport, concurrency: int) -> ContextManager[Transport]:
    """`transport`, or one like it that keeps more connections, for as long as this is open."""
    check_open_files(concurrency)
    return transport.with_connections(concurrency)


def check_open_files(concurrency: int) -> None:
    """ValueError if the limit of open files does not allow that many connections."""
    allowed = _open_files_left()
    if allowed is not None and concurrency > allowed:
        raise ValueError(f"concurrency={concurrency} needs as many connections, and the limit of open files leaves "
                         f"{max(0, allowed)}: raise it (in a shell: ulimit -n {concurrency + 1024}), or lower "
                         "concurrency")


if sys.platform == "win32":
    def _open_files_left() -> Optional[int]:
        return None
else:
    import resource

    def _open_files_left() -> Optional[int]:
        """How many files this process may open yet, less some to spare; None if there is no limit."""
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if limit == resource.RLIM_INFINITY:
            return None
        try:
            is_open = len(os.listdir("/dev/fd"))
        except OSError:
            is_open = 0
        return limit - is_open - _SPARE_FILES
