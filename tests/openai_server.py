"""A server that speaks OpenAI's protocol, for clients made for it: our `OpenAIChat` behind HTTP."""
from __future__ import annotations

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Iterator

from gemini_lite import GeminiError
from gemini_lite.openai_compat import OpenAIChat, to_openai_error


class _Handler(BaseHTTPRequestHandler):
    chat: OpenAIChat

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        try:
            found = self.chat.create(**body)
        except GeminiError as error:
            answer = to_openai_error(error)
            self._head(answer.status, "application/json")
            self.wfile.write(json.dumps(answer).encode())
            return
        self._head(200, "text/event-stream" if body.get("stream") else "application/json")
        if body.get("stream"):
            self._events(found)
        else:
            self.wfile.write(json.dumps(found).encode())

    def _events(self, chunks: Iterator[Any]) -> None:
        """Each chunk as it comes; what goes wrong in the middle is the last event, as OpenAI sends it."""
        try:
            for chunk in chunks:
                self._event(json.dumps(chunk))
            self._event("[DONE]")
        except GeminiError as error:
            self._event(json.dumps(to_openai_error(error)))

    def _event(self, data: str) -> None:
        self.wfile.write(f"data: {data}\n\n".encode())

    def _head(self, status: int, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


@contextlib.contextmanager
def serve(chat: OpenAIChat) -> Iterator[str]:
    """The base URL at which `chat` is served."""
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Handler,), {"chat": chat})) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        finally:
            server.shutdown()
            thread.join()
