"""Laws of the pace, in virtual time with fixed seeds: near the limit, few refusals, fair, whatever the server says."""
import pytest
from many.simulation import Bucket, FixedWindow, Simulation, SlidingWindow

from gemini_lite.errors import RateLimitError
from gemini_lite.many.pace import Pace, Quota, quota_of

ONE_PROCESS = {
    "bucket": (lambda: Bucket(50, 50), {}),
    "bucket that holds a minute": (lambda: Bucket(50, 3000), {"seconds": 600}),
    "window of a minute": (lambda: FixedWindow(50, 60), {"seconds": 600}),
    "sliding window of a minute": (lambda: SlidingWindow(50, 60), {"seconds": 600}),
    "refused calls are charged": (lambda: Bucket(50, 50, charges=True), {}),
    "fifteen requests a minute": (lambda: Bucket(0.25, 15), {"seconds": 3600}),
}
SEEDS = [1, 2, 3]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", ONE_PROCESS)
def test_a_limit_that_is_named_is_used_and_hardly_ever_met(name, seed):
    make, settings = ONE_PROCESS[name]
    outcome = Simulation(make(), seed=seed, **settings).run()
    assert outcome.use >= 0.93
    assert outcome.refused <= 0.007


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", list(ONE_PROCESS)[:5])
def test_a_limit_that_is_not_named_is_found(name, seed):
    make, settings = ONE_PROCESS[name]
    outcome = Simulation(make(), seed=seed, names_limit=False, **settings).run()
    assert outcome.use >= 0.93
    assert outcome.refused <= 0.007


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", list(ONE_PROCESS)[:3])
def test_refusals_that_say_nothing_are_probed_one_call_at_a_time(name, seed):
    make, settings = ONE_PROCESS[name]
    outcome = Simulation(make(), seed=seed, names_limit=False, names_delay=False, **settings).run()
    assert outcome.use >= 0.85
    assert outcome.refused <= 0.02


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("make", [lambda: Bucket(50, 50), lambda: FixedWindow(50, 60)], ids=["bucket", "window"])
@pytest.mark.parametrize("names_limit", [True, False])
def test_processes_on_one_key_share_it(make, names_limit, seed):
    outcome = Simulation(make(), seconds=900, processes=4, names_limit=names_limit, seed=seed).run()
    assert outcome.use >= 0.93
    assert outcome.refused <= 0.02
    assert outcome.jain >= 0.6


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("make", [lambda: Bucket(20000, 20000), lambda: Bucket(20000, 1200000),
                                  lambda: FixedWindow(20000, 60)], ids=["bucket", "bucket of a minute", "window"])
def test_a_quota_of_tokens_is_used(make, seed):
    outcome = Simulation(make(), seconds=600, tokens=(100, 2000), seed=seed).run()
    assert outcome.use >= 0.85
    assert outcome.refused <= 0.007


def test_without_a_refusal_nothing_is_paced():
    pace = Pace(1000)
    for number in range(5000):
        assert pace.opens_at() <= 0.001 * number
        pace.start(0.001 * number)
    assert pace.requests.per_second is None


def test_the_window_opens_with_time():
    pace = Pace(1000)
    assert pace.room(5.0) == 16
    pace.start(5.0)
    assert 16 < pace.room(5.25) < pace.room(5.5) < 1000
    assert pace.room(6.0) == 1000


def test_the_callers_own_limit_holds_from_the_first_call():
    pace, now, started = Pace(64, requests_per_minute=600), 0.0, 0
    while now < 10:
        now = max(now, pace.opens_at())
        pace.start(now)
        started += 1
    assert 98 <= started <= 102


@pytest.mark.parametrize("value", [10 ** 400, "1e999", "-1", 0, None, True, [], {}, "many"])
def test_a_quota_that_is_no_number_is_none(value):
    violation = {"quotaId": "RequestsPerMinute", "quotaValue": value}
    quota = quota_of(RateLimitError("slow down", details=({"violations": [violation]},)))
    assert quota.per_second in (None, 1 / 60)


def test_a_refusal_holds_back_all_calls_for_as_long_as_the_server_says():
    pace = Pace(64)
    first, second = pace.start(0.0), pace.start(0.0)
    pace.refused(first, 0.1, 26.0, Quota(None, False))
    assert 26.1 <= pace.opens_at() <= 28
    pace.refused(second, 0.2, 1.0, Quota(None, False))
    assert pace.opens_at() >= 26.1


def test_calls_that_started_before_a_cut_cut_no_more():
    pace = Pace(64)
    starts = [pace.start(number / 100) for number in range(300)]
    pace.refused(starts[-1], 3.0, 0.5, Quota(None, False))
    rate = pace.requests.per_second
    for start in starts[-20:-1]:
        pace.refused(start, 3.1, 0.5, Quota(None, False))
    assert pace.requests.per_second == rate


def test_a_named_limit_is_never_exceeded():
    pace = Pace(64)
    pace.refused(pace.start(0.0), 0.1, 0.1, Quota(10.0, False))
    now = 1.0
    while now < 600:
        now = max(now, pace.opens_at())
        pace.start(now)
    assert pace.requests.per_second == pytest.approx(9.8)


def test_an_overload_lowers_what_is_in_flight_once_for_all_that_started_before():
    pace = Pace(16)
    starts = [pace.start(0.0) for _ in range(16)]
    for start in starts:
        pace.overloaded(start)
    assert pace.room(1.0) == 12
    for _ in range(200):
        pace.answered(pace.start(2.0))
    assert pace.room(3.0) == 16
    assert pace.requests.per_second is None


def violation(**fields):
    return RateLimitError("no", code=429, details=[{"@type": "type.googleapis.com/google.rpc.QuotaFailure",
                                                    "violations": [fields]}])


@pytest.mark.parametrize("fields, quota", [
    ({"quotaId": "GenerateRequestsPerMinutePerProjectPerModel-FreeTier", "quotaValue": "15"}, Quota(0.25, False)),
    ({"quotaId": "GenerateContentInputTokensPerModelPerMinute-FreeTier", "quotaValue": "250000"},
     Quota(250000 / 60, True)),
    ({"quotaId": "GenerateRequestsPerDayPerProjectPerModel", "quotaValue": "1000"}, Quota(None, False)),
    ({"quotaId": "GenerateRequestsPerMinutePerProject", "quotaValue": "0"}, Quota(None, False)),
    ({"quotaId": "GenerateRequestsPerMinutePerProject", "quotaValue": ["x"]}, Quota(None, False)),
    ({"quotaId": None}, Quota(None, False)),
])
def test_the_limit_is_read_from_what_google_says_and_only_per_minute(fields, quota):
    assert quota_of(violation(**fields)) == quota
