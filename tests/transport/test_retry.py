"""The error decides whether and when to try again; the loop walks the endpoints, sleeps, and gives up in time."""
import gc
import logging
import weakref

import pytest

from gemini_lite import (
    APIError, AuthenticationError, BadRequestError, BlockedError, IncompleteError, NotFoundError, OverloadedError,
    ParseError, PermissionDeniedError, QuotaExhaustedError, RateLimitError, ServerError, TransportError,
    TransportTimeout,
)
from gemini_lite.transport import retry
from gemini_lite.transport.deadline import NEVER, Deadline
from gemini_lite.transport.running import RunningCall

A, B, C = "https://a.example", "https://b.example", "https://c.example"
FAILED = ServerError("no", code=500, retryable=True)
BUSY = OverloadedError("no", code=503, retryable=True)
LIMITED = RateLimitError("no", code=429, retryable=True)
NO_ROOM = OverloadedError("no", code=429, retryable=True)
SPENT = QuotaExhaustedError("no", code=429)
RESET = TransportError("no", reason="CONNECTION", retryable=True)
UNTRUSTED = TransportError("no", reason="TLS")
NO_CONNECTION = TransportTimeout("no", reason="CONNECT_TIMEOUT", retryable=True)
SILENT = TransportTimeout("no", reason="READ_TIMEOUT", retryable=True)
TOO_LATE = TransportTimeout("no", reason="DEADLINE", retryable=True)


def limited(seconds):
    return RateLimitError("no", code=429, retryable=True, retry_after=seconds)


def run(*answers, endpoints=(A,), retries=4, max_wait=60, deadline=NEVER, creates=False, unsent=False):
    """What comes of a call whose tries end in `answers`, errors or results, and the endpoints that were asked."""
    asked, left = [], list(answers)
    call = deadline.start()
    call.unsent = unsent

    def attempt(endpoint):
        asked.append(endpoint)
        answer = left.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    try:
        return retry.run(attempt, endpoints, retries, max_wait, call, creates), asked
    except BaseException as error:
        return error, asked


# Which errors

CERTAIN = [FAILED, BUSY, LIMITED, NO_ROOM, NO_CONNECTION, APIError("no", code=408, retryable=True),
           APIError("no", code=499, retryable=True)]


@pytest.mark.parametrize("error", CERTAIN)
def test_what_was_not_worked_on_is_sent_again(no_sleep, error):
    assert run(error, error, "answer") == ("answer", [A] * 3)
    assert len(no_sleep) == 2


CUT = IncompleteError("no", reason="CUT", retryable=True)


@pytest.mark.parametrize("error", [RESET, CUT])
def test_what_may_have_been_worked_on_is_sent_again_once_with_a_warning(no_sleep, caplog, error):
    assert run(error, "answer") == ("answer", [A, A])
    assert run(error, error, "never") == (error, [A, A])
    assert run(FAILED, error, FAILED, error, "never") == (error, [A] * 4)
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 3 and all("billed" in words and error.reason in words for words in warnings)


def test_a_warning_tells_of_what_is_sent_and_of_nothing_else(no_sleep, caplog):
    run(FAILED, RESET, retries=1)
    run(RESET, retries=0)
    run(limited(0.5), RESET, deadline=Deadline.after(0.3))
    run(RESET, deadline=Deadline.after(1e-9))
    assert [record for record in caplog.records if record.levelname == "WARNING"] == []


@pytest.mark.parametrize("error", [RESET, CUT])
def test_without_retries_it_is_never_sent_again_not_even_to_another_endpoint(no_sleep, error):
    assert run(error, "never", endpoints=(A, B), retries=0) == (error, [A])


def test_the_one_repeat_may_go_to_another_endpoint(no_sleep):
    assert run(RESET, "answer", endpoints=(A, B)) == ("answer", [A, B])
    assert run(RESET, RESET, "never", endpoints=(A, B, C)) == (RESET, [A, B])
    assert no_sleep == []


@pytest.mark.parametrize("error", [RESET, CUT])
def test_what_certainly_was_not_sent_is_sent_again_whatever_the_error(no_sleep, caplog, error):
    assert run(error, error, error, error, "answer", unsent=True) == ("answer", [A] * 5)
    assert run(error, "answer", unsent=True, creates=True) == ("answer", [A, A])
    assert [record for record in caplog.records if record.levelname == "WARNING"] == []


@pytest.mark.parametrize("error", [RESET, CUT, FAILED, BUSY, SILENT, APIError("no", code=408, retryable=True),
                                   APIError("no", code=499, retryable=True)])
def test_a_call_that_creates_something_is_never_repeated_where_it_may_have_been_worked_on(no_sleep, error):
    assert run(error, "never", creates=True) == (error, [A])
    assert run(error, "never", creates=True, endpoints=(A, B)) == (error, [A])


@pytest.mark.parametrize("error", [LIMITED, NO_CONNECTION])
def test_a_call_that_creates_something_is_repeated_where_it_was_not(no_sleep, error):
    assert run(error, "answer", creates=True) == ("answer", [A, A])


@pytest.mark.parametrize("error", [
    BadRequestError("no", code=400), AuthenticationError("no", code=401), PermissionDeniedError("no", code=403),
    NotFoundError("no", code=404), SPENT, UNTRUSTED, BlockedError("no"), IncompleteError("no"), ParseError("no"),
    ServerError("no", code=501),
])
def test_an_error_that_is_not_retryable_is_raised_at_once(no_sleep, error):
    assert run(error) == (error, [A])
    assert no_sleep == []


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), OSError("no")])
def test_what_is_no_error_of_ours_passes_through(no_sleep, error):
    assert run(error, endpoints=(A, B)) == (error, [A])
    assert no_sleep == []


@pytest.mark.parametrize("retries", [0, 1, 4])
def test_a_call_is_made_again_as_often_as_allowed_and_then_its_error_is_raised(no_sleep, retries):
    assert run(*[FAILED] * (retries + 1), retries=retries) == (FAILED, [A] * (retries + 1))
    assert len(no_sleep) == retries


# Endpoints

@pytest.mark.parametrize("error", [FAILED, BUSY, ServerError("no", code=502, retryable=True), NO_CONNECTION])
def test_one_try_walks_all_endpoints_without_sleeping_even_without_retries(no_sleep, error):
    assert run(error, error, "answer", endpoints=(A, B, C), retries=0) == ("answer", [A, B, C])
    assert no_sleep == []


def test_between_rounds_there_is_one_sleep_and_then_the_first_endpoint_again(no_sleep):
    assert run(FAILED, BUSY, FAILED, NO_CONNECTION, "answer", endpoints=(A, B)) == ("answer", [A, B, A, B, A])
    assert len(no_sleep) == 2


def test_the_error_of_the_last_endpoint_is_raised(no_sleep):
    assert run(FAILED, BUSY, endpoints=(A, B), retries=0) == (BUSY, [A, B])


@pytest.mark.parametrize("error", [
    LIMITED, NO_ROOM, SPENT, BadRequestError("no", code=400), AuthenticationError("no", code=401),
    PermissionDeniedError("no", code=403), NotFoundError("no", code=404), APIError("no", code=408, retryable=True),
    APIError("no", code=302), UNTRUSTED, TOO_LATE, BlockedError("no"), ParseError("no"),
])
def test_another_endpoint_is_not_asked_where_it_could_do_no_better(no_sleep, error):
    assert run(error, "answer", endpoints=(A, B), retries=0) == (error, [A])


def test_a_limit_is_waited_for_where_it_was_met(no_sleep):
    assert run(FAILED, LIMITED, "answer", endpoints=(A, B, C)) == ("answer", [A, B, A])
    assert len(no_sleep) == 1


# A request that was heard

@pytest.mark.parametrize("error", [SILENT, TOO_LATE])
def test_a_timeout_of_a_server_that_has_the_request_is_not_tried_again_though_it_says_retryable(no_sleep, error):
    assert run(error) == (error, [A])
    assert (no_sleep, error.retryable) == ([], True)


def test_after_a_read_timeout_no_endpoint_is_tried(no_sleep):
    assert run(SILENT, "never", endpoints=(A, B)) == (SILENT, [A])
    assert run(FAILED, SILENT, "never", endpoints=(A, B, C)) == (SILENT, [A, B])
    assert no_sleep == []


# How long

@pytest.mark.parametrize("seconds", [0.25, 2, 59.9, 60])
def test_the_servers_delay_is_slept_with_at_most_a_tenth_more(no_sleep, seconds):
    for _ in range(50):
        run(limited(seconds), "answer")
    assert all(seconds <= slept <= 1.1 * seconds for slept in no_sleep)
    assert len(set(no_sleep)) > 1


@pytest.mark.parametrize("seconds", [0, 0.001, 0.2])
def test_a_stated_delay_of_next_to_nothing_is_a_quarter_of_a_second(no_sleep, seconds):
    run(limited(seconds), "answer")
    assert 0.25 <= no_sleep[0] <= 0.275


def test_a_stated_delay_is_spread_more_with_each_try(no_sleep):
    for _ in range(200):
        run(*[limited(10)] * 4, "answer")
    for number in range(4):
        waits = no_sleep[number::4]
        assert 10 <= min(waits) < 10.5 + number and 10 + 0.8 * (number + 1) < max(waits) <= 11 + number


def test_a_longer_delay_than_max_wait_is_raised_at_once_and_stays_retryable(no_sleep):
    error = limited(60.5)
    assert run(error) == (error, [A])
    assert (no_sleep, error.retryable, error.retry_after) == ([], True, 60.5)


def test_with_max_wait_zero_no_server_is_waited_for_and_our_own_wait_is_none(no_sleep):
    error = limited(0.5)
    assert run(error, max_wait=0) == (error, [A])
    assert run(FAILED, "answer", max_wait=0) == ("answer", [A, A])
    assert no_sleep == [0]


@pytest.mark.parametrize("max_wait", [60, 20, 3])
def test_our_own_wait_doubles_up_to_thirty_seconds_or_max_wait(no_sleep, max_wait):
    for _ in range(100):
        run(*[FAILED] * 12, "answer", retries=12, max_wait=max_wait)
    for number in range(12):
        waits = no_sleep[number::12]
        longest = min(max_wait, 30, 0.5 * 2 ** number)
        assert 0 <= min(waits) < 0.4 * longest
        assert 0.6 * longest < max(waits) <= longest


def test_our_own_wait_is_finite_however_many_tries_there_are(no_sleep):
    assert run(*[FAILED] * 2000, "answer", retries=2000)[0] == "answer"
    assert max(no_sleep) <= 30


def test_each_wait_follows_the_error_before_it(no_sleep):
    run(limited(40), FAILED, limited(20), "answer")
    assert 40 <= no_sleep[0] <= 44 and no_sleep[1] <= 1 and 20 <= no_sleep[2] <= 26


# Deadlines

@pytest.mark.parametrize("error", [limited(10), limited(5.1)])
def test_a_wait_that_would_pass_the_deadline_is_not_begun(no_sleep, error):
    assert run(error, deadline=Deadline.after(5)) == (error, [A])
    assert no_sleep == []


def test_a_wait_that_ends_before_the_deadline_is_slept(no_sleep):
    assert run(limited(10), "answer", deadline=Deadline.after(100)) == ("answer", [A, A])
    assert len(no_sleep) == 1


def test_after_the_deadline_nothing_is_tried_again(no_sleep):
    assert run(FAILED, deadline=Deadline.after(-1)) == (FAILED, [A])
    assert no_sleep == []


# What is left behind

def test_each_wait_is_logged_with_its_seconds_and_its_reason(no_sleep, caplog):
    caplog.set_level(logging.INFO, "gemini_lite")
    run(NO_CONNECTION, limited(40), "answer")
    first, second = [record.getMessage() for record in caplog.records]
    assert all(words in first for words in ("%.2f s" % no_sleep[0], "try 2", "CONNECT_TIMEOUT"))
    assert all(words in second for words in ("%.2f s" % no_sleep[1], "try 3", "429"))


def test_a_failure_is_gone_when_nobody_holds_it(no_sleep):
    def attempt(endpoint):
        error = ServerError("no", code=500, retryable=True)
        errors.append(weakref.ref(error))
        try:
            raise error
        finally:
            del error

    errors = []
    gc.disable()  # so that a cycle would stay
    try:
        try:
            retry.run(attempt, (A, B), 2, 60, RunningCall())
        except ServerError:
            pass
        assert [error() for error in errors] == [None] * 6
    finally:
        gc.enable()
