"""Laws of progress and of the counts: a line that says all, four times a second at most, and nothing unasked."""
import io
import sys

import pytest
from ipython_stand_in import notebook_cell

from gemini_lite import GenerateContentResponse, Result
from gemini_lite.many import progress
from gemini_lite.many.stats import Stats, format_duration, short_number


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def stats():
    made = Stats(total=10)
    usage = {"promptTokenCount": 2_000_000, "candidatesTokenCount": 100_000, "totalTokenCount": 2_100_000}
    made.add(Result(0, "0", GenerateContentResponse({"usageMetadata": usage, "modelVersion": "<m>"})), "m")
    made.requests_per_minute = 1234.0
    return made


def test_the_line_says_done_rate_failed_limit_tokens_and_time_left(stats):
    line = progress.describe(stats)
    for words in ("1/10", "/s", "0 failed", "limit 1,234/min", "2.1 M tokens", "left"):
        assert words in line


def test_the_time_left_is_by_the_pace_where_that_is_slower(stats):
    stats._begun -= 1  # one prompt a second so far
    stats.requests_per_minute = 6.0
    assert 80 < stats.seconds_left < 100 and "1:30 left" in progress.describe(stats)


def test_a_terminal_gets_one_line_that_is_written_over(stats, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    report = progress.reporter(None)
    for _ in range(100):
        report(stats, False)
    stats.failed = 1
    report(stats, True)
    assert terminal.getvalue().count("\r") == 2 and terminal.getvalue().endswith("\n")


def test_nothing_is_shown_where_nobody_looks(stats, monkeypatch):
    file = io.StringIO()
    monkeypatch.setattr(sys, "stderr", file)
    progress.reporter(None)(stats, True)
    monkeypatch.setattr(sys, "stderr", Terminal())
    progress.reporter(False)(stats, True)
    assert file.getvalue() == sys.stderr.getvalue() == ""


def test_a_function_gets_the_stats_and_always_the_last(stats):
    seen = []
    report = progress.reporter(seen.append)
    for _ in range(50):
        report(stats, False)
    report(stats, True)
    assert seen == [stats, stats]


def test_a_notebook_gets_one_display_that_is_updated(stats, monkeypatch):
    cell = notebook_cell(monkeypatch)
    report = progress.reporter(None)
    report(stats, False)
    report(stats, True)
    assert [message.new for message in cell.messages] == [True, False]
    assert 'value="1" max="10"' in cell.outputs[0]["text/html"] and "1/10" in cell.outputs[0]["text/plain"]


def test_the_counts_show_themselves(stats):
    assert "1 answered, 0 failed" in str(stats) and "2,000,000 prompt" in str(stats)
    assert "&lt;m&gt;" in stats._repr_html_() and "<m>" not in stats._repr_html_()
    assert stats.as_dict()["tokens"]["<m>"]["answer"] == 100_000


@pytest.mark.parametrize("seconds, words", [(0, "0:00"), (67.9, "1:07"), (7207, "2:00:07")])
def test_seconds_in_words(seconds, words):
    assert format_duration(seconds) == words


@pytest.mark.parametrize("number, words", [(999, "999"), (9999, "9999"), (10_000, "10.0 k"), (2_100_000, "2.1 M")])
def test_large_numbers_are_short(number, words):
    assert short_number(number) == words
