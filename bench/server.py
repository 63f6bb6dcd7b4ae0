"""A Gemini on loopback that costs little: it measures its clients, so it must not be what they wait for.

Started by `lab`. It prints its two ports, for HTTP and for HTTPS, and ends with its standard input. The model's name
says what to answer, as words and numbers, such as ``events20000-bytes200``:

    events   how many events a stream has (1)
    bytes    how long the JSON of each is (as short as "Hello!" allows)
    every    milliseconds between two of them (0)
    clock    1: the text of each is `time.monotonic_ns()` as it is sent
    close    1: the connection is closed after the answer

``GET /connections`` is the number of connections that were opened.
"""
from __future__ import annotations

import functools
import json
import re
import socketserver
import ssl
import sys
import threading
import time
from typing import Dict, Iterator

UNARY = b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=UTF-8\r\nContent-Length: %d\r\n%s\r\n%s"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n%s\r\n"
CLOSE = b"Connection: close\r\n"


def answer(text: str, last: bool = True) -> bytes:
    """The JSON of one answer, or of one event, with the fields that Google sends."""
    candidate = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
    if last:
        candidate["finishReason"] = "STOP"
    usage = {"promptTokenCount": 4, "totalTokenCount": 16}
    return json.dumps({"candidates": [candidate], "usageMetadata": usage, "modelVersion": "m"}).encode()


@functools.lru_cache(maxsize=4)
def filled(size: int, last: bool) -> bytes:
    """An event of `size` bytes of JSON."""
    return event("Hello! " * 2 if size == 0 else "".ljust(max(0, size - len(answer("", last))), "lorem "[0]), last)


def event(text: str, last: bool) -> bytes:
    data = b"data: %s\r\n\r\n" % answer(text, last)
    return b"%x\r\n%s\r\n" % (len(data), data)


def events(ask: Dict[str, int]) -> Iterator[bytes]:
    count = ask.get("events", 1)
    for index in range(count):
        if index and ask.get("every"):
            time.sleep(ask["every"] / 1000)
        last = index == count - 1
        yield event(str(time.monotonic_ns()), last) if ask.get("clock") else filled(ask.get("bytes", 0), last)


class Handler(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True

    def setup(self) -> None:
        if self.server.tls is not None:
            self.request = self.server.tls.wrap_socket(self.request, server_side=True)
        super().setup()

    def handle(self) -> None:
        while self.exchange():
            pass

    def exchange(self) -> bool:
        """Answer one request; whether the connection stays open."""
        first, length = self.rfile.readline(), 0
        for line in iter(self.rfile.readline, b"\r\n"):
            if not line:
                return False
            if line[:15].lower() == b"content-length:":
                length = int(line[15:])
        self.rfile.read(length)
        path = first.split()[1].decode()
        ask = {word: int(number) for word, number in re.findall(r"([a-z]+)(\d+)", path.rpartition("/")[2])}
        close = CLOSE if ask.get("close") else b""
        if "streamGenerateContent" in path:
            self.wfile.write(STREAM % close)
            for data in events(ask):
                self.wfile.write(data)
            self.wfile.write(b"0\r\n\r\n")
        else:
            body = b"%d" % self.server.opened if path == "/connections" else answer("Hello!")
            self.wfile.write(UNARY % (len(body), close, body))
        return not close

    def finish(self) -> None:
        super().finish()
        self.request.close()


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        self.tls = tls
        self.opened = 0
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def process_request(self, request, client_address) -> None:
        self.opened += 1
        super().process_request(request, client_address)

    def handle_error(self, request, client_address) -> None:
        """A client that leaves, or trusts another CA, is no error of ours."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


def main(certificate: str, key: str) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    print(*(server.server_address[1] for server in (Server(None), Server(tls))), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
