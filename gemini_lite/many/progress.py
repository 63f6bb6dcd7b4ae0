"""How far a run is: a line on a terminal, one display in a notebook, or whatever the caller does with the counts."""
from __future__ import annotations

import sys
import time
from typing import Callable, Dict, List, Union

from .stats import Stats, format_duration, short_number

EVERY = 0.25  # seconds
Show = Callable[[Stats], object]
Progress = Union[bool, Callable[[Stats], object], None]


def reporter(progress: Progress) -> Callable[[Stats, bool], None]:
    """What a run calls all the time, with whether it has ended; it shows something at most four times a second.

    `progress` is a function of the `Stats`; True for a line on standard error, or a display in a notebook; None for
    the same where a person looks; False for nothing.
    """
    if callable(progress):
        return _throttled(progress)
    if progress is False:
        return _ignore
    from ..display.notebook import ReplacedOutput, in_notebook  # not for programs that want nothing shown
    if in_notebook():
        output = ReplacedOutput()
        return _throttled(lambda stats: output.show(_bundle(stats)))
    if progress or is_watched():
        from ..display.terminal_line import TerminalLine
        line = TerminalLine(sys.stderr)
        return _throttled(lambda stats: line.show(describe(stats)), line.end)
    return _ignore


def is_watched() -> bool:
    """Whether a person looks at what is printed: in a notebook, or on a terminal."""
    from ..display.notebook import in_notebook
    return in_notebook() or sys.stderr is not None and sys.stderr.isatty()


def _ignore(stats: Stats, ended: bool) -> None:
    """For a run that nobody watches."""


def _throttled(show: Show, end: Callable[[], None] = lambda: None) -> Callable[[Stats, bool], None]:
    next_time = 0.0

    def report(stats: Stats, ended: bool) -> None:
        nonlocal next_time
        now = time.monotonic()
        if ended or now >= next_time:
            next_time = now + EVERY
            show(stats)
        if ended:
            end()
    return report


def _bundle(stats: Stats) -> Dict[str, str]:
    """What a notebook shows, by MIME type."""
    text = describe(stats)
    return {"text/html": f'{bar(stats)}<div style="white-space:pre">{text}</div>', "text/plain": text}


def describe(stats: Stats) -> str:
    """The counts in one line: done, rate, failed, what the pace allows, tokens, time left."""
    done, total = stats.done + stats.skipped, stats.total
    words: List[str] = [f"{done:,}/{total:,}" if total is not None else f"{done:,}", f"{stats.per_second:,.0f}/s",
                        f"{stats.failed:,} failed"]
    if stats.requests_per_minute is not None:
        words.append(f"limit {stats.requests_per_minute:,.0f}/min")
    tokens = sum(counts["total"] for counts in stats.tokens.values())
    if tokens:
        words.append(f"{short_number(tokens)} tokens")
    if stats.seconds_left is not None and done < (total or 0):
        words.append(f"{format_duration(stats.seconds_left)} left")
    return "  ".join(words)


def bar(stats: Stats) -> str:
    """A bar in HTML, where it is known how many prompts there are."""
    return "" if not stats.total else \
        f'<progress value="{stats.done + stats.skipped}" max="{stats.total}" style="width:100%"></progress>'
