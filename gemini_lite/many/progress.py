"""How far a run is: a line on a terminal, one display in a notebook, or whatever the caller does with the counts."""
from __future__ import annotations

import sys
import time
from typing import Callable, Dict, List, Optional, TextIO, Union

from .stats import Stats, in_words, shortened

EVERY = 0.25  # seconds
Show = Callable[[Stats], None]
Progress = Union[bool, Show, None]


def reporter(progress: Progress) -> Callable[[Stats, bool], None]:
    """What a run calls all the time, with whether it has ended; it shows something at most four times a second.

    `progress` is a function of the `Stats`; True for a line on standard error, or a display in a notebook; None for
    the same where a person looks; False for nothing.
    """
    show = progress if callable(progress) else _choose(progress)
    return _ignore if show is None else _Throttled(show)


def _choose(progress: Optional[bool]) -> Optional[Show]:
    if progress is False:
        return None
    from ..display import notebook  # not for programs that nobody watches
    if notebook.in_notebook():
        output = notebook.ReplacedOutput()
        return lambda stats: output.show(_bundle(stats))
    return _TerminalLine(sys.stderr) if progress or is_watched() else None


def is_watched() -> bool:
    """Whether a person looks at what is printed: in a notebook, or on a terminal."""
    from ..display import notebook
    return notebook.in_notebook() or sys.stderr is not None and sys.stderr.isatty()


def _bundle(stats: Stats) -> Dict[str, str]:
    text = describe(stats)
    return {"text/html": f'{bar(stats)}<div style="white-space:pre">{text}</div>', "text/plain": text}


def _ignore(stats: Stats, ended: bool) -> None:
    """For a run that nobody watches."""


class _Throttled:
    def __init__(self, show: Show) -> None:
        self._show = show
        self._next = 0.0

    def __call__(self, stats: Stats, ended: bool) -> None:
        now = time.monotonic()
        if ended or now >= self._next:
            self._next = now + EVERY
            self._show(stats)
            if ended and isinstance(self._show, _TerminalLine):
                self._show.end()


class _TerminalLine:
    """One line that is written over."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._width = 0

    def __call__(self, stats: Stats) -> None:
        text = describe(stats)
        self._file.write(f"\r{text.ljust(self._width)}")
        self._file.flush()
        self._width = len(text)

    def end(self) -> None:
        """Leave the line as it is and go to the next."""
        self._file.write("\n")
        self._file.flush()


def describe(stats: Stats) -> str:
    """The counts in one line: done, rate, failed, what the pace allows, tokens, time left."""
    done, total = stats.done + stats.skipped, stats.total
    words: List[str] = [f"{done:,}/{total:,}" if total is not None else f"{done:,}", f"{stats.per_second:,.0f}/s",
                        f"{stats.failed:,} failed"]
    if stats.requests_per_minute is not None:
        words.append(f"limit {stats.requests_per_minute:,.0f}/min")
    tokens = sum(counts["total"] for counts in stats.tokens.values())
    if tokens:
        words.append(f"{shortened(tokens)} tokens")
    if stats.seconds_left is not None and done < (total or 0):
        words.append(f"{in_words(stats.seconds_left)} left")
    return "  ".join(words)


def bar(stats: Stats) -> str:
    """A bar in HTML, where it is known how many prompts there are."""
    return "" if not stats.total else \
        f'<progress value="{stats.done + stats.skipped}" max="{stats.total}" style="width:100%"></progress>'
