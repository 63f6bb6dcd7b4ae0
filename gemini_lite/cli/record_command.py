"""``gemini-lite record``: what a program and Google say to each other, written down to be played in tests."""
from __future__ import annotations

import contextlib
import errno
import os

from ..backends.developer import key_from_environment
from ..demo import reachable_demo
from ..errors import CredentialsError, GeminiError
from ..testing.foreground import serve
from ..testing.recording import Recorder
from .record_help import RecordArguments
from .standard_error import print_status


def run_record(arguments: RecordArguments) -> int:
    """Record until Ctrl-C; the exit code."""
    key = key_from_environment() if arguments.send_key else None
    if arguments.send_key and key is None:
        raise CredentialsError("--send-key sends the key of GEMINI_API_KEY (or GOOGLE_API_KEY), which is not set")
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(reachable_demo()).url if arguments.demo else (
            arguments.upstream or os.environ.get("GOOGLE_GEMINI_BASE_URL") or None)
        recorder = Recorder(arguments.output_file, upstream, arguments.redact_text, key=key.value if key else None)
        try:
            serve(recorder, arguments.port, lambda: print_status(
                f"records what goes to {recorder.upstream} by the address below; Ctrl-C ends it"))
        except OSError as error:
            if error.filename is not None:
                raise
            raise GeminiError(_no_port(arguments.port, error)) from None
    print_status(f"exchanges in {arguments.output_file}: {recorder.count}")
    return 0


def _no_port(port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is in use: name another one with --port, or 0 for one that is free"
    return f"nothing can be served at port {port}: {error.strerror}"
