"""How the time of a function grows with its input: a ratio, which does not depend on how fast the machine is."""
from __future__ import annotations

import gc
import time
from typing import Callable, TypeVar

T = TypeVar("T")

QUADRATIC = 10_000.0  # the ratio over two orders of what takes quadratic time; that of linear time is 100


def growth(make: Callable[[int], T], run: Callable[[T], object], size: int) -> float:
    """How many times as much CPU time `run(make(100 * size))` takes as `run(make(size))`.

    `size` is to be large enough that its run takes some 20 microseconds.
    """
    small, large = make(size), make(100 * size)
    gc.disable()  # a collection in the middle would be counted
    try:
        run(small)
        small_time = min(_seconds(run, small, 20) for _ in range(5))
        return _seconds(run, large, 1) / small_time
    finally:
        gc.enable()


def _seconds(run: Callable[[T], object], value: T, times: int) -> float:
    started = time.process_time()
    for _ in range(times):
        run(value)
    return (time.process_time() - started) / times


def assert_linear(make: Callable[[int], T], run: Callable[[T], object], size: int = 500) -> None:
    """Fail if the time grows with more than about the power of 1.35."""
    ratio = growth(make, run, size)
    assert ratio < QUADRATIC / 20, f"100 times the input took {ratio:.0f} times as long"
