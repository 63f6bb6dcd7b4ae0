"""Files that are written whole or not at all."""
from __future__ import annotations

import contextlib
import os
from typing import Union


def write(path: Union[str, "os.PathLike[str]"], data: bytes, mode: int = 0o666) -> None:
    """Put `data` at `path`, with `mode` less the umask; until that is done, the old file stays."""
    temporary = f"{os.fspath(path)}.{os.urandom(4).hex()}.part"
    try:
        with open(temporary, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
