"""The counts of a run, while it goes on and at its end."""
from __future__ import annotations

import html
import time
from typing import Dict, List, Optional

from ..errors import GeminiError
from ..json_data import JSON
from ..json_data.previews import counted, shorten
from ..response import Result
from .tokens import token_count

_TOKEN_NAMES = {
    "prompt": "promptTokenCount", "cached": "cachedContentTokenCount", "answer": "candidatesTokenCount",
    "thoughts": "thoughtsTokenCount", "tool_use": "toolUsePromptTokenCount", "total": "totalTokenCount",
}
_MOST_REASONS = 10  # that are told apart


class Stats:
    """Counts of prompts, requests and tokens.

    `answered` and `failed` are of this run; `skipped` were in the file already, which has `failed_before` errors that
    are not tried again. `reasons` counts the failures by their kind, with the first message of each; `may_pass` of them
    are tried again by the same call on a file. `retried` counts requests that were sent again after a failure,
    `refused` those that met a quota. `tokens` counts by model and kind: prompt, cached, answer, thoughts, tool_use,
    total. `total` prompts, None if nobody knows.
    """

    def __init__(self, total: Optional[int] = None) -> None:
        self.answered = self.failed = self.may_pass = self.retried = self.refused = self.in_flight = 0
        self.skipped = self.failed_before = 0
        self.total = total
        self.reasons: Dict[str, int] = {}
        self._kinds: Dict[str, str] = {}  # of failures, and the reason that stands for each
        self.tokens: Dict[str, Dict[str, int]] = {}
        self.requests_per_minute: Optional[float] = None  # that the pace allows; None: as many as there are answers
        self._begun = time.monotonic()
        self._ended: Optional[float] = None

    @property
    def done(self) -> int:
        """Prompts of this run that have an answer or an error."""
        return self.answered + self.failed

    @property
    def seconds(self) -> float:
        """How long the run has taken."""
        return (self._ended or time.monotonic()) - self._begun

    @property
    def per_second(self) -> float:
        """Prompts done a second, over the whole run."""
        return self.done / max(self.seconds, 0.001)

    @property
    def seconds_left(self) -> Optional[float]:
        """How long the rest will take at this rate, or at that of the pace; None if that is not known."""
        if self.total is None or not self.done:
            return None
        limit = float("inf") if self.requests_per_minute is None else self.requests_per_minute / 60
        return max(0, self.total - self.done - self.skipped) / min(self.per_second, limit)

    def add(self, result: Result, model: str) -> None:
        """Count one result."""
        if result.error is None:
            self.answered += 1
        else:
            self._add_failure(result.error)
        usage = result.usage_metadata.data
        if usage:
            self._add_tokens(usage, (result.response and result.response.model_version) or model)

    def end(self) -> None:
        """Stop the clock."""
        self._ended = time.monotonic()

    def as_dict(self) -> JSON:
        """The counts as JSON data."""
        return {
            "done": self.done, "answered": self.answered, "failed": self.failed, "skipped": self.skipped,
            "failed_before": self.failed_before,
            "retried": self.retried, "refused": self.refused, "seconds": round(self.seconds, 3), "tokens": self.tokens,
            "reasons": self.reasons}

    def _add_failure(self, error: GeminiError) -> None:
        self.failed += 1
        self.may_pass += error.retryable
        kind = " ".join(map(str, filter(None, (type(error).__name__, error.code, error.reason or error.status))))
        if len(self._kinds) >= _MOST_REASONS and kind not in self._kinds:
            kind = "other failures"
        reason = self._kinds.setdefault(kind, f"{kind}: {shorten(' '.join(str(error).split()), 300)}")
        self.reasons[reason] = self.reasons.get(reason, 0) + 1

    def _add_tokens(self, usage: JSON, model: str) -> None:
        counts = self.tokens.setdefault(model, dict.fromkeys(_TOKEN_NAMES, 0))
        for name, wire in _TOKEN_NAMES.items():
            counts[name] += token_count(usage, wire)

    def __str__(self) -> str:
        lines = [f"{counted(self.done, 'prompt')} in {format_duration(self.seconds)} ({self.per_second:,.0f}/s): "
                 f"{self.answered:,} answered, {self.failed:,} failed"
                 + (f"; {self.skipped:,} were there already" if self.skipped else "")
                 + (f", and {self.failed_before:,} failed before" if self.failed_before else "")]
        lines += [f"{count:,} x {reason}" for reason, count in sorted(self.reasons.items(), key=lambda item: -item[1])]
        if self.retried or self.refused:
            lines.append(f"{counted(self.retried, 'request')} sent again, {self.refused:,} refused for a quota")
        return "\n".join(lines + [f"{model}: {_token_text(counts)}" for model, counts in self.tokens.items()])

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self}>"

    def _repr_html_(self) -> str:
        """A table of the counts, for a notebook."""
        rows = [("answered", self.answered), ("failed", self.failed), ("there already", self.skipped),
                ("sent again", self.retried), ("refused", self.refused)]
        cells = [_row(name, f"{count:,}") for name, count in rows]
        cells += [_row(f"{count:,} x", html.escape(reason)) for reason, count in self.reasons.items()]
        cells += [_row(html.escape(model), html.escape(_token_text(counts))) for model, counts in self.tokens.items()]
        cells.append(_row("time", f"{format_duration(self.seconds)} ({self.per_second:,.0f}/s)"))
        return f"<table>{''.join(cells)}</table>"


def format_duration(seconds: float) -> str:
    """`seconds` as ``0:07`` or ``2:00:07``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def short_number(number: int) -> str:
    """A large number in at most six characters: ``2.1 M``."""
    for unit, name in ((10 ** 9, "G"), (10 ** 6, "M"), (10 ** 3, "k")):
        if number >= unit * 10 or unit > 1000 and number >= unit:
            return f"{number / unit:.1f} {name}"
    return str(number)


def _token_text(counts: Dict[str, int]) -> str:
    kinds: List[str] = [f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items()
                        if count and name != "total"]
    return f"{', '.join(kinds) or 'no'} tokens"


def _row(name: str, value: str) -> str:
    return f"<tr><th style='text-align:left'>{name}</th><td style='text-align:left'>{value}</td></tr>"
