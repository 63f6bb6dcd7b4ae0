"""``python -m gemini_lite.testing``: a stand-in for programs of any language, from a shell."""
from __future__ import annotations

import argparse
import sys
from typing import List, Optional

from .foreground import NoRequests, serve
from .replies import Reply
from .request import Request
from .server import FakeGemini


def main(arguments: Optional[List[str]] = None) -> int:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m gemini_lite.testing",
        description="A stand-in for Gemini on 127.0.0.1: it repeats the prompt, or plays a recording.",
        epilog="gemini-lite record makes a recording.")
    parser.add_argument("--port", type=int, default=8080, help="port of 127.0.0.1; 0 for a free one (default: 8080)")
    parser.add_argument("--strict", action="store_true", help="refuse what Google refuses")
    parser.add_argument("--limit", type=int, metavar="N", help="answer 429 beyond N requests a minute")
    parser.add_argument("--delay", type=float, default=0.0, metavar="SECONDS", help="between two events of a stream")
    parser.add_argument("--play", metavar="FILE", help="answer from a recording")
    options = parser.parse_args(arguments)
    try:
        serve(_stand_in(options), options.port)
    except (OSError, ValueError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    return 0


def _stand_in(options: argparse.Namespace) -> FakeGemini:
    fake = FakeGemini.from_recording(options.play) if options.play else FakeGemini(_repeat)
    fake.strict, fake.event_delay, fake.requests = options.strict, options.delay, NoRequests()
    if options.limit is not None:
        fake.limit(options.limit)
    return fake


def _repeat(request: Request) -> Reply:
    texts = [part["text"] for content in request.contents[-1:] for part in content["parts"] if "text" in part]
    return Reply("You said: ", *(f"{word} " for word in " ".join(texts).split()))


if __name__ == "__main__":
    sys.exit(main())
