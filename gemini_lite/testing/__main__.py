"""``python -m gemini_lite.testing``: a stand-in for programs of any language, from a shell."""
from __future__ import annotations

import argparse
import signal
import sys
import threading
from typing import List, Optional, Union

from .recording import GOOGLE, Recorder
from .replies import Reply
from .request import Request
from .server import FakeGemini


def main(arguments: Optional[List[str]] = None) -> int:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m gemini_lite.testing",
        description="A stand-in for Gemini on 127.0.0.1: it repeats the prompt, plays a recording, or makes one.")
    parser.add_argument("--port", type=int, default=8080, help="port of 127.0.0.1; 0 for a free one (default: 8080)")
    parser.add_argument("--strict", action="store_true", help="refuse what Google refuses")
    parser.add_argument("--limit", type=int, metavar="N", help="answer 429 beyond N requests a minute")
    parser.add_argument("--delay", type=float, default=0.0, metavar="SECONDS", help="between two events of a stream")
    parser.add_argument("--play", metavar="FILE", help="answer from a recording")
    parser.add_argument("--record", metavar="FILE", help=f"pass everything on to {GOOGLE}, and record it")
    parser.add_argument("--upstream", metavar="URL", help="with --record: the server to pass everything on to")
    parser.add_argument("--redact-text", action="store_true", help="with --record: hashes in place of texts")
    options = parser.parse_args(arguments)
    try:
        server: Union[FakeGemini, Recorder] = _stand_in(options)
        if options.record:
            server = Recorder(options.record, options.upstream, options.redact_text)
        server.start(options.port)
    except (OSError, ValueError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    return _serve_until_interrupted(server)


def _stand_in(options: argparse.Namespace) -> FakeGemini:
    fake = FakeGemini.from_recording(options.play) if options.play else FakeGemini(_repeat)
    fake.strict, fake.event_delay = options.strict, options.delay
    if options.limit is not None:
        fake.limit(options.limit)
    return fake


def _repeat(request: Request) -> Reply:
    texts = [part["text"] for content in request.contents[-1:] for part in content["parts"] if "text" in part]
    return Reply("You said: ", *(f"{word} " for word in " ".join(texts).split()))


def _serve_until_interrupted(server: Union[FakeGemini, Recorder]) -> int:
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    print(server.url, flush=True)    # only now may whoever reads it end this process
    stopped.wait()
    server.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
