"""How long a call may take."""
import math

import pytest

from gemini_lite import TransportTimeout
from gemini_lite.transport.deadline import NEVER, CallLimits, Deadline, check_count, check_seconds, check_timeout


@pytest.mark.parametrize("value", [0.001, 1, 10 ** 6])
def test_seconds_are_any_finite_number_above_zero(value):
    assert check_seconds(value, "timeout") == value


@pytest.mark.parametrize("value", [0, 0.0, -1, float("inf"), float("-inf"), float("nan"), 1e10, 10 ** 400])
def test_seconds_that_never_come_are_refused(value):
    with pytest.raises(ValueError, match="timeout"):
        check_seconds(value, "timeout")


@pytest.mark.parametrize("value", ["5", None, True, False, [5], (1, 2)])
def test_seconds_that_are_no_number_are_refused(value):
    with pytest.raises(TypeError, match="timeout"):
        check_seconds(value, "timeout")


@pytest.mark.parametrize("value, least, error", [
    (1, 1, None), (0, 0, None), (10 ** 30, 1, None), (0, 1, ValueError), (-1, 0, ValueError), (True, 0, TypeError),
    (1.0, 1, TypeError), ("1", 1, TypeError), (None, 0, TypeError)])
def test_a_count_is_a_whole_number_from_its_least_on(value, least, error):
    if error is None:
        assert check_count(value, "retries", least) == value
        return
    with pytest.raises(error, match="retries"):
        check_count(value, "retries", least)


def test_zero_seconds_are_allowed_where_they_mean_never():
    assert check_seconds(0, "max_wait", zero=True) == 0
    with pytest.raises(ValueError, match="max_wait"):
        check_seconds(-1, "max_wait", zero=True)


def test_no_deadline_caps_nothing_and_never_expires():
    assert NEVER.cap((1.0, 2.0)) == (1.0, 2.0)
    assert NEVER.left == math.inf and not NEVER.expired and not NEVER.is_set
    assert Deadline.after(None) is NEVER


def test_a_deadline_caps_each_step_to_what_is_left():
    connect, read = Deadline.after(5).cap((10.0, 2.0))
    assert 4 < connect <= 5 and read == 2.0
    connect, read = Deadline.after(5).cap((2.0, 10.0))
    assert connect == 2.0 and 4 < read <= 5


def test_nothing_begins_after_the_deadline():
    past = Deadline.after(-1)
    assert past.expired and past.left == 0
    with pytest.raises(TransportTimeout) as caught:
        past.cap((1.0, 1.0))
    assert caught.value.reason == "DEADLINE" and caught.value.retryable


def test_the_earlier_of_two_deadlines_holds():
    assert Deadline.after(100).earlier(5).left <= 5
    assert Deadline.after(5).earlier(100).left <= 5
    assert NEVER.earlier(5).left <= 5


def test_the_limits_of_a_call_are_taken_out_of_the_overrides_and_checked():
    given = {"deadline": 5, "retries": 0, "temperature": 1}
    limits, others = CallLimits(timeout=(1.0, 2.0)).split(given)
    assert limits == CallLimits(5.0, (1.0, 2.0), 0) and others == {"temperature": 1} and "deadline" in given
    for bad in ({"deadline": 0}, {"timeout": (1, 2, 3)}, {"retries": -1}, {"timeout": -1}):
        with pytest.raises(ValueError):
            CallLimits().split(bad)
    for bad in ({"deadline": "5"}, {"timeout": "5"}):
        with pytest.raises(TypeError):
            CallLimits().split(bad)


def test_one_number_is_both_timeouts():
    assert check_timeout(3) == (3.0, 3.0)
