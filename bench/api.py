"""What uploads, embeddings and results of batches cost, beside google-genai: `python bench/api.py`, with it installed.

Each figure is of a process of its own, against a server of its own: the peak of its memory (what is resident), the
growth over what it had before the work, and its CPU time. The clients take turns; medians of the rounds.
"""
from __future__ import annotations

import argparse
import io
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
MEASURES = ("upload", "embed", "results")
ITEMS, SIZE = 10_000, 768


class Row(NamedTuple):
    """A line of the table: a figure of ours against theirs."""

    what: str
    measure: str
    figure: str
    target: float
    most: float = 0.0  # of ours, whatever theirs is


ROWS = (
    Row("upload of {size}, peak memory", "upload", "peak_mb", 0.5),
    Row("upload of {size}, growth of memory", "upload", "growth_mb", 0.5),
    Row("upload of {size}, CPU", "upload", "cpu_s", 0.0),
    Row("10,000 embeddings of 768, peak memory", "embed", "peak_mb", 0.5),
    Row("10,000 embeddings of 768, growth of memory", "embed", "growth_mb", 0.5),
    Row("10,000 embeddings of 768, CPU", "embed", "cpu_s", 0.95),
    Row("{size} of a batch's results, growth of memory", "results", "growth_mb", 0.5, 24.0),
    Row("{size} of a batch's results, CPU", "results", "cpu_s", 0.0),
)


def key_of(number: int) -> str:
    return f"request-{number:07d}"


def result_line(number: int, text: str) -> bytes:
    response = {"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, "finishReason": "STOP"}]}
    return json.dumps({"key": key_of(number), "response": response}).encode() + b"\n"


class Handler(BaseHTTPRequestHandler):
    """Takes uploads and forgets them; has the same vectors for everybody."""

    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16
    disable_nagle_algorithm = True
    vectors = b""
    results, result_bytes = 0, 0
    job = {"name": "batches/b", "done": True, "metadata": {
        "state": "BATCH_STATE_SUCCEEDED", "output": {"responsesFile": "files/batch-b"}}}

    def do_GET(self) -> None:
        """The job, or its results, which are made while they are sent."""
        if ":download" not in self.path:
            self.answer(json.dumps(self.job).encode(), {})
            return
        empty = result_line(0, "")
        text = "x" * (self.result_bytes - len(empty))
        self.send_response(200)
        self.send_header("Content-Length", str(self.results * self.result_bytes))
        self.end_headers()
        for number in range(self.results):
            self.wfile.write(result_line(number, text))

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


def serve(size: int, result_bytes: int) -> None:
    """The server: prints its port, and ends with its standard input; `size` is of all results, in bytes."""
    Handler.results, Handler.result_bytes = size // result_bytes, result_bytes
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


def work(client: str, measure: str, url: str, path: str, results: int) -> None:
    """One measurement, printed as JSON."""
    keys = [key_of(number) for number in range(results if measure == "results" else 1)]
    if client == "gemini_lite":
        from gemini_lite import DeveloperAPI, GeminiClient
        ours = GeminiClient(backend=DeveloperAPI("k", base_url=url))

        def upload(file: str) -> Any:
            return ours.files.upload(file)

        def embed(texts: List[str]) -> Any:
            return ours.embed(texts)

        def read_results() -> int:
            return sum(result.error is None for result in ours.batches.results("batches/b", keys=keys))
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

        def read_results() -> int:  # which the user has to tell apart
            waiting = set(keys)
            job = theirs.batches.get(name="batches/b")
            assert job.dest and job.dest.file_name
            for line in io.BytesIO(theirs.files.download(file=job.dest.file_name)):
                found = json.loads(line)
                if found["response"]["candidates"]:
                    waiting.remove(found["key"])
            return len(keys) - len(waiting)

    with tempfile.NamedTemporaryFile(suffix=".mp4") as small:
        small.write(b"x")
        small.flush()
        upload(small.name)
    embed(["warm"])
    before, begin = peak(), time.process_time()
    if measure == "upload":
        upload(path)
    elif measure == "embed":
        assert len(embed([f"text {number}" for number in range(ITEMS)])) == ITEMS
    else:
        assert read_results() == results
    spent = time.process_time() - begin
    print(json.dumps({"peak_mb": peak(), "growth_mb": peak() - before, "cpu_s": spent}))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is measured (%(default)s)")
    parser.add_argument("--mb", type=int, default=1024, help="the size of the upload, and of the results (%(default)s)")
    parser.add_argument("--result-bytes", type=int, default=4096, help="the size of one result (%(default)s)")
    parser.add_argument("--only", nargs="+", choices=MEASURES, default=MEASURES)
    arguments = parser.parse_args()
    figures: Dict[Any, List[Dict[str, float]]] = {}
    with tempfile.NamedTemporaryFile(suffix=".mp4") as big:
        os.truncate(big.name, arguments.mb << 20)
        with open(big.name, "rb") as file:  # into the page cache, so that the first client does not pay for the others
            while file.read(1 << 20):
                pass
        size, one = arguments.mb << 20, arguments.result_bytes
        command = [sys.executable, __file__, "serve", str(size), str(one)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
            for _ in range(arguments.rounds):
                for measure in arguments.only:
                    for client in CLIENTS:
                        command = [sys.executable, __file__, client, measure, url, big.name, str(size // one)]
                        out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
                        figures.setdefault((measure, client), []).append(json.loads(out))
            server.communicate()
    print(f"{'what':45} {CLIENTS[0]:>12} {CLIENTS[1]:>13} {'ratio':>6}  target")
    good = True
    for row in (row for row in ROWS if row.measure in arguments.only):
        ours, theirs = [statistics.median(run[row.figure] for run in figures[row.measure, client])
                        for client in CLIENTS]
        ratio = ours / theirs if theirs else float("inf")
        met = (not row.target or ratio <= row.target) and (not row.most or ours <= row.most)
        good = good and met
        most = f", ours <= {row.most:g}" if row.most else ""
        target = f"< {row.target:.2f}{most} {'met' if met else 'NOT MET'}" if row.target else "reported"
        what = row.what.format(size=f"{arguments.mb} MB")
        print(f"{what:45} {ours:12.2f} {theirs:13.2f} {ratio:6.2f}  {target}")
    return 0 if good else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(int(sys.argv[2]), int(sys.argv[3]))
    elif len(sys.argv) == 6 and sys.argv[1] in CLIENTS:
        work(*sys.argv[1:5], results=int(sys.argv[5]))
    else:
        sys.exit(main())
