"""What a call costs, beside requests, `http.client` and google-genai: one table, each figure against its target.

`python bench/run.py` is all there is to it; see README.rst.
"""
from __future__ import annotations

import argparse
import pathlib
import statistics
import sys
from typing import Any, Dict, List, NamedTuple, Tuple

from lab import CACHE, HERE, Lab

OURS = "gemini_lite"

MEASURES: Dict[str, Tuple[str, Dict[str, Any]]] = {  # name: (what the worker does, its parameters)
    "start": ("start", {}),
    "cold": ("cold", {}),
    "calls": ("calls", {"count": 1000}),
    "events": ("stream", {"events": 20000, "bytes": 200}),
    "64 KB": ("stream", {"events": 800, "bytes": 65536}),
    "64 KB kept": ("stream", {"events": 800, "bytes": 65536, "keep": True}),
    "10 MB": ("whole", {"events": 5, "bytes": 10_000_000}),
    "delivery": ("delivery", {"events": 400, "every": 5}),
    "threads": ("threads", {"threads": 64, "each": 50}),
    "chat": ("chat", {"turns": 200, "count": 40}),
    "HTTPS": ("calls", {"count": 40, "model": "close1"}),
    "pauses": ("threads", {"threads": 64, "each": 20, "pause": 0.05}),
    "upload": ("upload", {"bytes": 10_000_000, "count": 3}),
}


class Row(NamedTuple):
    """A line of the table: a figure of ours against another client's, or against another figure of the same run."""

    what: str
    measure: str
    figure: str
    other: str
    target: float
    higher: bool = False  # is better


ROWS = (
    Row("import and client built, wall", "start", "wall_ms", "requests", 1.25),
    Row("import and client built, wall", "start", "wall_ms", "google-genai", 0.25),
    Row("peak memory after that", "start", "peak_mb", "requests", 1.12),
    Row("process start to first streamed text", "cold", "first_ms", "google-genai", 0.25),
    Row("small call, CPU", "calls", "cpu_us", "requests", 0.65),
    Row("small call, CPU", "calls", "cpu_us", "google-genai", 0.45),
    Row("the same, against one with a deadline", "calls", "cpu_us", "gemini_lite, deadline", 0.97, higher=True),
    Row("streamed event of 200 bytes, CPU", "events", "cpu_us", "http.client", 1.6),
    Row("streamed event of 200 bytes, CPU", "events", "cpu_us", "google-genai", 0.08),
    Row("50 MB in events of 64 KB", "64 KB", "mb_s", "requests", 0.9, higher=True),
    Row("the same, each text kept", "64 KB kept", "mb_s", "requests", 0.9, higher=True),
    Row("five events of 10 MB, peak memory", "10 MB", "peak_mb", "requests", 1.1),
    Row("delivery of an event, p50", "delivery", "p50_us", "http.client", 1.3),
    Row("delivery of an event, p99", "delivery", "p99_us", "http.client", 1.3),
    Row("64 threads, CPU per call", "threads", "cpu_us", "requests", 0.7),
    Row("conversation of 200 turns, CPU per send", "chat", "cpu_us", "requests", 1.0),
    Row("call on a new HTTPS connection, CPU", "HTTPS", "cpu_us", "requests", 0.2),
    Row("64 threads that pause, connections", "pauses", "connections", "threads", 1.0),
    Row("upload of 10 MB, wall", "upload", "wall_ms", "requests", 1.05),
    Row("upload of 10 MB, peak memory", "upload", "peak_mb", "requests", 1.05),
)

Figures = Dict[Tuple[str, str], List[Dict[str, float]]]  # by measure and client, a dict for each round


def measured(lab: Lab, rows: List[Row], rounds: int) -> Figures:
    """All that `rows` need; within a round the clients take turns, and what they share is measured once."""
    wanted: Dict[Tuple[str, str], None] = {}  # a set that keeps its order
    for row in rows:
        wanted[row.measure, OURS] = None
        if row.other != "threads":
            wanted[row.measure, row.other] = None
    order = sorted(wanted, key=lambda pair: list(MEASURES).index(pair[0]))
    figures: Figures = {pair: [] for pair in order}
    for number in range(rounds):
        for measure, client in order:
            print("\rround %d of %d: %-50s" % (number + 1, rounds, measure + ", " + client), end="", file=sys.stderr)
            ca = "trusting" if measure == "HTTPS" else None
            figures[measure, client].append(lab.measure(client, *MEASURES[measure], ca))
    print("\r%70s\r" % "", end="", file=sys.stderr)
    return figures


def compared(row: Row, figures: Figures) -> Tuple[float, float, List[float]]:
    """Our median, the other's, and the ratio in each round, which the noise of the machine disturbs least."""
    ours = [run[row.figure] for run in figures[row.measure, OURS]]
    other = [run[row.other] for run in figures[row.measure, OURS]] if row.other == "threads" else [
        run[row.figure] for run in figures[row.measure, row.other]]
    ratios = sorted(mine / theirs for mine, theirs in zip(ours, other))
    return statistics.median(ours), statistics.median(other), ratios


def table(rows: List[Row], figures: Figures) -> bool:
    """Print the table; whether all targets are met."""
    line = "%-40s %-5s %12s %12s  %-13s %6s %13s %8s  %s"
    print(line % ("what", "unit", OURS, "other", "", "ratio", "of all rounds", "target", ""))
    good = True
    for row in rows:
        ours, other, ratios = compared(row, figures)
        ratio = statistics.median(ratios)
        met = ratio >= row.target if row.higher else ratio <= row.target
        good = good and met
        unit = {"us": "us", "ms": "ms", "mb": "MB", "s": "MB/s"}.get(row.figure.rpartition("_")[2], "")
        print(line % (row.what, unit, "%.1f" % ours, "%.1f" % other, row.other, "%.2f" % ratio,
                      "%.2f - %.2f" % (ratios[0], ratios[-1]), ("> " if row.higher else "< ") + "%.2f" % row.target,
                      "met" if met else "NOT MET"))
    return good


def verifies(lab: Lab) -> bool:
    """Whether a server whose CA is not among those of REQUESTS_CA_BUNDLE is refused, as requests refuses it."""
    errors = [lab.measure(client, "refused", {}, "wary")["error"] for client in (OURS, "requests")]
    print("\nwithout the server's CA in REQUESTS_CA_BUNDLE: %s" % (errors[0] or "NOT REFUSED"))
    return all("CERTIFICATE_VERIFY_FAILED" in str(error) for error in errors)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="how often everything is measured (%(default)s)")
    parser.add_argument("--only", nargs="+", default=list(MEASURES), metavar="MEASURE", choices=list(MEASURES),
                        help="some of: " + ", ".join(map(repr, MEASURES)))
    parser.add_argument("--venvs", type=pathlib.Path, default=CACHE, help="where the environments are (%(default)s)")
    parser.add_argument("--checkout", type=pathlib.Path, default=HERE.parent, help="another gemini_lite (%(default)s)")
    arguments = parser.parse_args()
    rows = [row for row in ROWS if row.measure in arguments.only]
    with Lab(arguments.venvs, arguments.checkout.resolve()) as lab:
        print("%s; medians of %d rounds\n" % (lab.versions(), arguments.rounds))
        good = table(rows, measured(lab, rows, arguments.rounds))
        good = verifies(lab) and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
