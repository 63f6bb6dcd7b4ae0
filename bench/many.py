"""Many prompts: what a call costs, how the pace keeps to a limit, memory, kills, 2,000 in flight, Dask; see --help.

A server runs on loopback, each client in a process of its own, the clients of a row in turn. Compare ratios, never
times of two runs; the load of the machine stands at the top.
"""
from __future__ import annotations

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time
import urllib.request
from typing import Any, Callable, Dict, List, Sequence

HERE = pathlib.Path(__file__).resolve().parent
missed: List[str] = []


class Lab:
    """The server, and processes that call it; `python` has requests, google-genai, and dask[distributed]."""

    def __init__(self, python: str, quick: bool, rounds: int) -> None:
        self.python, self.quick, self.rounds = python, quick, rounds
        self.environment = {**os.environ, "PYTHONPATH": str(HERE.parent), "no_proxy": "127.0.0.1"}

    def __enter__(self) -> "Lab":
        self.server = subprocess.Popen([self.python, str(HERE / "many_server.py")], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, universal_newlines=True)
        self.url = f"http://127.0.0.1:{int(self.server.stdout.readline())}"
        return self

    def __exit__(self, *exc: object) -> None:
        self.server.stdin.close()
        self.server.wait(10)

    def reset(self, **settings: Any) -> None:
        data = json.dumps(settings).encode()
        urllib.request.urlopen(urllib.request.Request(f"{self.url}/reset", data, method="POST")).read()

    def counts(self) -> Dict[str, Any]:
        return json.loads(urllib.request.urlopen(f"{self.url}/counts").read())

    def start(self, name: str, count: int, concurrency: int, seconds: float = 0.0, key: str = "k") -> Any:
        command = [self.python, str(HERE / "many_clients.py"), name, self.url, str(count), str(concurrency)]
        return subprocess.Popen(command + ([str(seconds)] if seconds else []), stdout=subprocess.PIPE,
                                env={**self.environment, "BENCH_KEY": key}, universal_newlines=True)

    def run(self, name: str, count: int, concurrency: int, seconds: float = 0.0) -> Dict[str, Any]:
        output = self.start(name, count, concurrency, seconds).communicate()[0]
        return json.loads(output.splitlines()[-1])


def row(what: str, value: float, target: float, *, at_most: bool, spread: Sequence[float] = ()) -> None:
    """Print one figure beside its target."""
    good = value <= target if at_most else value >= target
    if not good:
        missed.append(what)
    lowest = f" ({min(spread):.3g} to {max(spread):.3g})" if len(spread) > 1 else ""
    print(f"{'ok  ' if good else 'MISS'} {what:58} {value:8.3g}{lowest}  target {'<=' if at_most else '>='} {target}",
          flush=True)


def cost(lab: Lab) -> None:
    """1. CPU a call, against its neighbours in the same round."""
    count = 1500 if lab.quick else 4000
    lab.reset(latency=0.0)
    ratios: Dict[str, List[float]] = {}
    for _ in range(lab.rounds):
        used = {name: lab.run(name, count, 64)["cpu_us"]
                for name in ("pool", "many", "journal", "genai_threads", "genai_async")}
        for name in ("pool", "genai_threads", "genai_async"):
            ratios.setdefault(name, []).append(used["many"] / used[name])
        ratios.setdefault("journal", []).append(used["journal"] / used["many"])
    for name, target in (("pool", 1.10), ("genai_threads", 0.60), ("genai_async", 0.70)):
        row(f"CPU of map / {name}", statistics.median(ratios[name]), target, at_most=True, spread=ratios[name])
    row("CPU with a journal / without", statistics.median(ratios["journal"]), 1.15, at_most=True,
        spread=ratios["journal"])


def pace(lab: Lab) -> None:
    """2. Use of a limit of 200/s, and refused requests."""
    cases = (("bucket that names its limit", dict(rate=200, burst=20), 0.95, 0.005, False),
             ("bucket, RetryInfo only, second half", dict(rate=200, burst=20, names=["delay"]), 0.90, 0.01, True),
             ("window of 2 s", dict(rate=200, window=2.0), 0.95, 0.01, False))
    seconds = 12 if lab.quick else 20
    for what, settings, least, most_refused, late in cases:
        uses, refused = [], []
        for _ in range(lab.rounds):
            lab.reset(latency=0.05, **settings)
            figures = lab.run("unordered", 0, 64, seconds)
            counts = lab.counts()
            uses.append(late_use(counts, 200) if late else counts["answered"] / (200 * figures["wall"]))
            refused.append(counts["refused"] / (counts["answered"] + counts["refused"]))
            if figures["good"] != counts["answered"]:
                missed.append(f"{what}: {counts['answered'] - figures['good']} failed")
        row(f"{what}: use", statistics.median(uses), least, at_most=False, spread=uses)
        row(f"{what}: refused", statistics.median(refused), most_refused, at_most=True, spread=refused)
    lab.reset(latency=0.05, rate=200, burst=20)
    processes = [lab.start("unordered", 0, 64, 1.5 * seconds, key=f"k{number}") for number in range(3)]
    for process in processes:
        process.communicate()
    counts = lab.counts()
    row("three processes on one key: use", late_use(counts, 200), 0.95, at_most=False)
    row("three processes on one key: refused", counts["refused"] / (counts["answered"] + counts["refused"]), 0.02,
        at_most=True)


def late_use(counts: Dict[str, Any], rate: float) -> float:
    """Answers a second in the second half, as a share of the limit; the last second is not whole."""
    by_second = {int(second): value for second, value in counts["seconds"].items()}
    half = range(max(by_second) // 2, max(by_second) - 1)
    return sum(by_second.get(second, 0) for second in half) / len(half) / rate


def memory(lab: Lab) -> None:
    """3. Memory is flat."""
    lab.reset(latency=0.0)
    few, lots = (lab.run("many", count, 64)["peak_mb"] for count in (5000, 20000 if lab.quick else 60000))
    row("peak memory of 60,000 prompts / 5,000", lots / few, 1.15, at_most=True)
    row("bytes for a finished key", lab.run("resume", 200_000, 1)["bytes_a_key"], 25, at_most=True)


def kills(lab: Lab) -> None:
    """4. The loop of kills in tests/many/test_kills.py, which checks the lines; it says how many were paid twice."""
    which = "short" if lab.quick else "fifty"
    run = subprocess.run([lab.python, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", "tests/many/test_kills.py",
                          "-k", which], cwd=HERE.parent, env=lab.environment, stdout=subprocess.PIPE,
                         universal_newlines=True)
    print("    " + "; ".join(line for line in run.stdout.splitlines() if "paid twice" in line))
    row("kills: failed tests", float(run.returncode), 0, at_most=True)


def crowd(lab: Lab) -> None:
    """5. 2,000 in flight."""
    lab.reset(latency=2.0)
    ratios, sizes = [], []
    for _ in range(lab.rounds):
        pool, ours = (lab.run(name, 20000, 2000) for name in ("pool", "threads"))
        ratios.append(pool["wall"] / ours["wall"])
        sizes.append(ours["kb_a_thread"])
    row("2,000 in flight: calls/s of map / pool", statistics.median(ratios), 0.90, at_most=False, spread=ratios)
    row("KB for a thread", statistics.median(sizes), 60, at_most=True, spread=sizes)


def engines(lab: Lab) -> None:
    """6. Dask, two workers."""
    lab.reset(latency=0.05)
    figures = lab.run("dask", 4000, 32)
    row("Dask: calls/s of a recipe / a client for each task", figures["recipe"] / figures["a_client_for_each"], 10,
        at_most=False)


PARTS: Dict[str, Callable[[Lab], None]] = {
    "cost": cost, "pace": pace, "memory": memory, "kills": kills, "crowd": crowd, "engines": engines}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", default=sys.executable, help="its environment has all that is measured")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="fewer calls, which says less")
    arguments = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, {time.strftime('%Y-%m-%d %H:%M')}")
    with Lab(arguments.python, arguments.quick, arguments.rounds) as lab:
        for name in arguments.only:
            PARTS[name](lab)
    print(f"load {os.getloadavg()[0]:.1f} at the end; missed: {'; '.join(missed) or 'none'}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
