"""A Gemini on loopback for many clients at once: a latency, a quota, and counts. Started by `many`.

It prints its port and ends with its standard input. ``POST /reset`` takes the settings as JSON, ``GET /counts`` gives
the counts: latency (seconds), rate (a second; 0 is none), burst, window (seconds; fixed windows in place of a bucket),
names ("limit", "delay").
"""
from __future__ import annotations

import asyncio
import collections
import json
import sys
import time
from typing import Any, Counter, Dict, Optional

try:
    import uvloop
except ImportError:
    uvloop = None

ANSWER = json.dumps({
    "candidates": [{"content": {"parts": [{"text": "Hello!"}], "role": "model"}, "index": 0, "finishReason": "STOP"}],
    "usageMetadata": {"promptTokenCount": 12, "candidatesTokenCount": 4, "totalTokenCount": 16}, "modelVersion": "m",
}).encode()
DETAIL = "type.googleapis.com/google.rpc."


class Server:
    """The settings and the counts."""

    def __init__(self) -> None:
        self.reset({})

    def reset(self, settings: Dict[str, Any]) -> None:
        self.latency, self.rate = settings.get("latency", 0.0), settings.get("rate", 0.0)
        self.burst, self.window = float(settings.get("burst", 1)), settings.get("window", 0.0)
        self.names = settings.get("names", ["limit", "delay"])
        self.left, self.at, self.number, self.used = self.burst, time.monotonic(), -1, 0
        self.begun: Optional[float] = None
        self.answered = self.refused = 0
        self.seconds: Counter[int] = collections.Counter()
        self.by_key: Counter[str] = collections.Counter()

    def counts(self) -> Dict[str, Any]:
        return {"answered": self.answered, "refused": self.refused, "seconds": self.seconds, "by_key": self.by_key}

    def wait(self) -> Optional[float]:
        """None if a request is let in, else the seconds until one would be."""
        now = time.monotonic()
        if self.begun is None:
            self.begun = self.at = now
        if not self.rate:
            return None
        if self.window:
            number = int((now - self.begun) / self.window)
            if number != self.number:
                self.number, self.used = number, 0
            self.used += 1
            return None if self.used <= self.rate * self.window else (number + 1) * self.window - (now - self.begun)
        self.left = min(self.burst, self.left + (now - self.at) * self.rate)
        self.at = now
        if self.left < 1:
            return (1 - self.left) / self.rate
        self.left -= 1
        return None

    def refusal(self, wait: float) -> bytes:
        details = []
        if "limit" in self.names:
            details.append({"@type": DETAIL + "QuotaFailure", "violations": [{
                "quotaId": "GenerateRequestsPerMinutePerProjectPerModel", "quotaValue": str(int(self.rate * 60))}]})
        if "delay" in self.names:
            details.append({"@type": DETAIL + "RetryInfo", "retryDelay": f"{wait:.9f}s"})
        return json.dumps({"error": {"code": 429, "message": "Quota exceeded.", "status": "RESOURCE_EXHAUSTED",
                                     "details": details}}).encode()


class Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, server: Server) -> None:
        self.server, self.buffer = server, b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while True:
            head, found, rest = self.buffer.partition(b"\r\n\r\n")
            low = head.lower()
            place = low.find(b"content-length:")
            size = int(low[place + 15:].split(b"\r\n", 1)[0]) if place >= 0 else 0
            if not found or len(rest) < size:
                return
            self.buffer = rest[size:]
            self.answer(head, rest[:size])

    def answer(self, head: bytes, body: bytes) -> None:
        server = self.server
        if head.startswith(b"POST /reset"):
            server.reset(json.loads(body))
            return self.send(b"200 OK", b"{}")
        if head.startswith(b"GET /counts"):
            return self.send(b"200 OK", json.dumps(server.counts()).encode())
        wait = server.wait()
        if wait is not None:
            server.refused += 1
            return self.send(b"429 Too Many Requests", server.refusal(wait))
        server.answered += 1
        server.seconds[int(time.monotonic() - (server.begun or 0.0))] += 1
        place = head.lower().find(b"x-goog-api-key:")
        server.by_key[head[place + 15:].split(b"\r\n", 1)[0].strip().decode()] += 1
        if not server.latency:
            return self.send(b"200 OK", ANSWER)
        asyncio.get_running_loop().call_later(server.latency, self.send, b"200 OK", ANSWER)

    def send(self, status: bytes, body: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                                 % (status, len(body), body))


async def main() -> None:
    server = Server()
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(lambda: Connection(server), "127.0.0.1", 0, backlog=4096)
    print(listener.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if uvloop is not None:
    uvloop.install()
asyncio.run(main())
