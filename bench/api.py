"""What uploads and embeddings cost, beside google-genai: `python bench/api.py`, with google-genai installed.

Each figure is of a process of its own, against a server of its own: the peak of its memory (what is resident), the
growth over what it had before the work, and its CPU time. The clients take turns; medians of the rounds.
"""
from __future__ import annotations

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Dict, List, NamedTuple

CLIENTS = ("gemini_lite", "google-genai")
ITEMS, SIZE = 10_000, 768


class Row(NamedTuple):
    """A line of the table: a figure of ours against theirs."""

    what: str
    measure: str
    figure: str
    target: float


ROWS = (
    Row("upload of {size}, peak memory", "upload", "peak_mb", 0.5),
    Row("upload of {size}, growth of memory", "upload", "growth_mb", 0.5),
    Row("upload of {size}, CPU", "upload", "cpu_s", 0.0),
    Row("10,000 embeddings of 768, peak memory", "embed", "peak_mb", 0.5),
    Row("10,000 embeddings of 768, growth of memory", "embed", "growth_mb", 0.5),
    Row("10,000 embeddings of 768, CPU", "embed", "cpu_s", 0.95),
)


class Handler(BaseHTTPRequestHandler):
    """Takes uploads and forgets them; has the same vectors for everybody."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    vectors = b""

    def do_POST(self) -> None:
        left = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(left) if left < 1 << 20 and "embed" in self.path.lower() else b""
        left -= len(body)
        while left:
            left -= len(self.rfile.read(min(left, 1 << 16)))
        command = self.headers.get("X-Goog-Upload-Command", "")
        if command == "start":
            url = f"http://{self.headers['Host']}/upload/v1beta/files?upload_id=U"
            self.answer(b"{}", {"X-Goog-Upload-URL": url, "X-Goog-Upload-Status": "active"})
        elif "finalize" in command:
            file = {"name": "files/f", "uri": "https://x/files/f", "state": "ACTIVE", "mimeType": "video/mp4"}
            self.answer(json.dumps({"file": file}).encode(), {"X-Goog-Upload-Status": "final"})
        elif command:
            self.answer(b"", {"X-Goog-Upload-Status": "active"})
        else:
            count = len(json.loads(body)["requests"])
            self.answer(b'{"embeddings": [%b]}' % b",".join([self.vectors] * count), {})

    def answer(self, body: bytes, headers: Dict[str, str]) -> None:
        self.send_response(200)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


def serve() -> None:
    """The server: prints its port, and ends with its standard input."""
    values = [random.Random(1).uniform(-0.1, 0.1) for _ in range(SIZE)]
    Handler.vectors = json.dumps({"values": values}).encode()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    print(server.server_port, flush=True)
    import threading
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def work(client: str, measure: str, url: str, path: str) -> None:
    """One measurement, printed as JSON."""
    if client == "gemini_lite":
        from gemini_lite import DeveloperAPI, GeminiClient
        ours = GeminiClient(backend=DeveloperAPI("k", base_url=url))

        def upload(file: str) -> Any:
            return ours.files.upload(file)

        def embed(texts: List[str]) -> Any:
            return ours.embed(texts)
    else:
        from google import genai
        theirs = genai.Client(api_key="k", http_options={"base_url": url})

        def upload(file: str) -> Any:
            return theirs.files.upload(file=file)

        def embed(texts: List[str]) -> Any:  # which the user has to split
            found: List[Any] = []
            for start in range(0, len(texts), 100):
                answer = theirs.models.embed_content(
                    model="gemini-embedding-001", contents=texts[start:start + 100])  # type: ignore[arg-type]
                found += answer.embeddings or []
            return found

    with tempfile.NamedTemporaryFile(suffix=".mp4") as small:
        small.write(b"x")
        small.flush()
        upload(small.name)
    embed(["warm"])
    before, begin = peak(), time.process_time()
    result = upload(path) if measure == "upload" else embed([f"text {number}" for number in range(ITEMS)])
    spent = time.process_time() - begin
    assert measure == "upload" or len(result) == ITEMS
    print(json.dumps({"peak_mb": peak(), "growth_mb": peak() - before, "cpu_s": spent}))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is measured (%(default)s)")
    parser.add_argument("--mb", type=int, default=1024, help="the size of the upload (%(default)s)")
    arguments = parser.parse_args()
    figures: Dict[Any, List[Dict[str, float]]] = {}
    with tempfile.NamedTemporaryFile(suffix=".mp4") as big:
        os.truncate(big.name, arguments.mb << 20)
        with open(big.name, "rb") as file:  # into the page cache, so that the first client does not pay for the others
            while file.read(1 << 20):
                pass
        with subprocess.Popen([sys.executable, __file__, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              text=True) as server:
            assert server.stdout is not None
            url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
            for _ in range(arguments.rounds):
                for measure in ("upload", "embed"):
                    for client in CLIENTS:
                        out = subprocess.run([sys.executable, __file__, client, measure, url, big.name], check=True,
                                             stdout=subprocess.PIPE, text=True).stdout
                        figures.setdefault((measure, client), []).append(json.loads(out))
            server.communicate()
    print(f"{'what':45} {CLIENTS[0]:>12} {CLIENTS[1]:>13} {'ratio':>6}  target")
    good = True
    for row in ROWS:
        ours, theirs = [statistics.median(run[row.figure] for run in figures[row.measure, client])
                        for client in CLIENTS]
        ratio = ours / theirs if theirs else float("inf")
        met = not row.target or ratio <= row.target
        good = good and met
        target = f"< {row.target:.2f} {'met' if met else 'NOT MET'}" if row.target else "reported"
        what = row.what.format(size=f"{arguments.mb} MB")
        print(f"{what:45} {ours:12.2f} {theirs:13.2f} {ratio:6.2f}  {target}")
    return 0 if good else 1


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        serve()
    elif len(sys.argv) == 5 and sys.argv[1] in CLIENTS:
        work(*sys.argv[1:])
    else:
        sys.exit(main())
