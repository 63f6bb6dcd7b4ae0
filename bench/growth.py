"""How the cost grows: CPU and memory against events, their size, the history and the threads.

Each is made a thousand times more. The last column is the exponent between a row and the one before, 1 for linear;
what is spent once, such as the first connection, makes the first of them smaller. With matplotlib, there is a plot too.
"""
from __future__ import annotations

import argparse
import math
import pathlib
from typing import Any, Dict, List, NamedTuple

from clients import CLIENTS
from lab import CACHE, HERE, Lab

PLOT = HERE / "growth.png"


class Series(NamedTuple):
    """What there is more and more of, and what the worker does with each number of it."""

    what: str
    measure: str
    parameters: Dict[int, Dict[str, Any]]


SERIES = (
    Series("events of 200 bytes", "stream", {
        count: {"events": count, "bytes": 200, "repeat": max(1, 20_000 // count)}
        for count in (100, 1000, 10_000, 100_000)}),
    Series("bytes in one event", "stream", {
        size: {"events": 1, "bytes": size, "repeat": min(200, 20_000_000 // size)}
        for size in (10_000, 100_000, 1_000_000, 10_000_000)}),
    Series("turns in the history", "chat", {
        turns: {"turns": turns, "count": min(200, 20_000 // turns)} for turns in (5, 50, 500, 5000)}),
    Series("threads of 20 calls each", "threads", {
        threads: {"threads": threads, "each": 20} for threads in (1, 10, 100, 1000)}),
)


class Point(NamedTuple):
    number: int
    cpu: float  # ms
    memory: float  # MB above what it was before


def measured(lab: Lab, client: str, series: Series, rounds: int) -> List[Point]:
    """The least of some rounds: whatever else the machine does can only add."""
    points = []
    for number, parameters in series.parameters.items():
        runs = [lab.measure(client, series.measure, parameters) for _ in range(rounds)]
        points.append(Point(number, min(run["cpu_ms"] for run in runs), min(run["peak_mb"] for run in runs)))
    return points


def table(series: Series, points: List[Point]) -> None:
    print("\n%12s %12s %12s %10s   %s" % ("number", "CPU, ms", "each, us", "peak, MB", "exponent"), "of", series.what)
    for index, point in enumerate(points):
        exponent = ""
        if index:
            before = points[index - 1]
            exponent = "%.2f" % (math.log(point.cpu / before.cpu) / math.log(point.number / before.number))
        print("%12d %12.3f %12.3f %10.1f   %s" % (
            point.number, point.cpu, point.cpu / point.number * 1e3, point.memory, exponent))


def plot(found: Dict[str, List[Point]]) -> None:
    try:
        import matplotlib
    except ImportError:
        print("\nno plot: matplotlib is not installed")
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as pyplot
    figure, axes = pyplot.subplots(2, len(found), figsize=(4 * len(found), 7), squeeze=False)
    for (what, points), (above, below) in zip(found.items(), axes.T):
        numbers = [point.number for point in points]
        linear = [points[-1].cpu * number / numbers[-1] for number in numbers]
        above.loglog(numbers, [point.cpu for point in points], "o-", label="measured")
        above.loglog(numbers, linear, ":", label="linear")
        above.set_ylabel("CPU, ms")
        above.legend()
        below.loglog(numbers, [max(point.memory, 0.01) for point in points], "o-")  # 0 has no place on such an axis
        below.set_ylabel("peak memory, MB")
        below.set_xlabel(what)
    figure.tight_layout()
    figure.savefig(PLOT, dpi=100)
    print("\n%s" % PLOT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--client", default="gemini_lite", choices=list(CLIENTS))
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is measured (%(default)s)")
    parser.add_argument("--venvs", type=pathlib.Path, default=CACHE, help="where the environments are (%(default)s)")
    parser.add_argument("--checkout", type=pathlib.Path, default=HERE.parent, help="another gemini_lite (%(default)s)")
    arguments = parser.parse_args()
    found = {}
    with Lab(arguments.venvs, arguments.checkout.resolve()) as lab:
        print("%s, %s" % (arguments.client, lab.versions()))
        for series in SERIES:
            found[series.what] = measured(lab, arguments.client, series, arguments.rounds)
            table(series, found[series.what])
    plot(found)


if __name__ == "__main__":
    main()
