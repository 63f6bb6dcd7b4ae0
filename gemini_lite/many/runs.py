"""How a run begins: the arguments of `GeminiClient.map` and `GeminiClient.map_to`, checked and put together."""
from __future__ import annotations

import os
from typing import Any, Callable, Iterable, Mapping, NamedTuple, Optional, Union

from ..api.prompts import check_prompts
from ..auth.api_key import is_demo
from ..options import GeminiOptions
from ..route import Route
from ..transport.deadline import CallLimits, check_count
from ..transport.transport import Transport
from .checks import check_options, check_rate
from .engine import Run
from .journal import Journal
from .pace import Pace
from .progress import Progress, reporter
from .settings import Keeper, Settings
from .stats import Stats


class Caller(NamedTuple):
    """Who sends: a client's route and transport, and what it asks of every call."""

    route: Route
    transport: Transport
    options: GeminiOptions
    limits: CallLimits


def start_run(
    caller: Caller, prompts: Iterable[object], *, concurrency: int = 64, ordered: bool = True,
    requests_per_minute: Optional[float] = None, max_errors: Optional[int] = None, progress: Progress = None,
    pace: Optional[Pace] = None, keeper: Optional[Keeper] = None, ends_in_outage: bool = True,
    overrides: Mapping[str, Any] = {},
) -> Run:
    """A run over `prompts`; see `GeminiClient.map`."""
    limits, changes = caller.limits.split(overrides)
    options = caller.options.replace(**changes)
    check_count(concurrency, "concurrency")
    if max_errors is not None:
        check_count(max_errors, "max_errors", least=0)
    check_rate(requests_per_minute)
    check_prompts(prompts)
    check_options(options)
    retries = caller.transport.retries if limits.retries is None else limits.retries
    settings = Settings(concurrency, ordered, retries, max_errors, limits, ends_in_outage)
    return Run(caller.route, caller.transport, options, prompts, settings,
               pace=pace or Pace(concurrency, requests_per_minute), keeper=keeper, progress=reporter(progress))


def run_to_file(
    caller: Caller, path: Union[str, "os.PathLike[str]"], prompts: Iterable[object], *, resume: bool = True,
    retry_errors: str = "transient", fsync_every: float = 1.0, on_crash: str = "resend",
    began: Callable[[Run], None] = lambda run: None, **settings: Any,
) -> Stats:
    """Answer `prompts` into the file `path`; see `GeminiClient.map_to`."""
    check_prompts(prompts)
    with Journal(path, resume=resume, retry_errors=retry_errors, fsync_every=fsync_every, on_crash=on_crash,
                 is_demo=is_demo(caller.route.backend.auth)) as journal:
        with start_run(caller, prompts, ordered=False, keeper=journal, **settings) as run, run.interrupts:
            run.stats.failed_before = journal.failed_before
            began(run)
            for _ in run:
                pass
            return run.stats
