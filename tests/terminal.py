"""Runs a program at a pseudo-terminal: reads what it shows, and presses keys."""
from __future__ import annotations

import fcntl
import os
import re
import select
import struct
import subprocess
import sys
import termios
import time
from typing import IO, Dict, List, Optional, Tuple

TIMEOUT = 30.0  # seconds to wait for a text; a busy machine is slow
CTRL_C, CTRL_D, UP = "\x03", "\x04", "\x1b[A"
# The pseudo-terminal becomes the controlling one, so that Ctrl-C reaches the program as a signal.
_START = ("import fcntl, os, signal, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
          "signal.signal(signal.SIGINT, signal.default_int_handler); os.execv(sys.argv[1], sys.argv[1:])")
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()=>][A-Z0-9]?")


class Terminal:
    """Runs `command`; `seen` is all that was shown so far. With `out`, standard output goes to that file instead."""

    def __init__(self, command: List[str], env: Dict[str, str], size: Tuple[int, int] = (24, 80),
                 out: Optional[IO[bytes]] = None) -> None:
        self._master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", *size, 0, 0))
        self.seen = ""
        self._waited_to = 0  # where in `seen` the text ends that was waited for last
        self._bytes = b""
        self.process = subprocess.Popen(
            [sys.executable, "-c", _START, *command], stdin=slave, stdout=slave if out is None else out, stderr=slave,
            env={"TERM": "xterm", **env}, start_new_session=True)
        os.close(slave)

    def wait(self, text: str) -> str:
        """Read until `text` is shown, and return what was shown from the last wait up to its end."""
        if not self._read_until(text, TIMEOUT):
            raise AssertionError(f"{text!r} did not come; since the last wait: {self.seen[self._waited_to:]!r}")
        start, self._waited_to = self._waited_to, self.seen.index(text, self._waited_to) + len(text)
        return self.seen[start:self._waited_to]

    def press(self, keys: str) -> None:
        """Type `keys`, control characters and escape sequences included."""
        os.write(self._master, keys.encode("utf-8"))

    def interrupt(self, text: str) -> str:
        """Press Ctrl-C until `text` is shown: one that comes just before the program blocks is seen only later."""
        end = time.monotonic() + TIMEOUT
        self.press(CTRL_C)
        while not self._read_until(text, 1) and time.monotonic() < end:
            self.press(CTRL_C)
        return self.wait(text)

    def end(self) -> int:
        """Read to the end of the program, and return its exit code."""
        end = time.monotonic() + TIMEOUT
        while self._read(end):
            pass
        return self.process.wait(max(0.1, end - time.monotonic()))

    @property
    def text(self) -> str:
        """What was shown, without escape sequences."""
        return _ESCAPE.sub("", self.seen).replace("\r", "")

    def _read_until(self, text: str, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while text not in self.seen[self._waited_to:]:
            if not self._read(end):
                return False
        return True

    def _read(self, end: float) -> bool:
        ready, _, _ = select.select([self._master], [], [], max(0, end - time.monotonic()))
        if not ready:
            return False
        try:
            data = os.read(self._master, 65536)
        except OSError:  # EIO: the program has ended
            return False
        self._bytes += data
        self.seen = self._bytes.decode("utf-8", "replace")
        return bool(data)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._master)
