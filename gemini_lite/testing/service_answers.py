"""What the services of `FakeGemini` share: times, and lists page by page."""
from __future__ import annotations

import datetime
from typing import Sequence

from ..json_data import JSON
from .replies import Answer, Error, json_answer
from .request import Request


def time_text(moment: datetime.datetime) -> str:
    """A moment in UTC as the API writes it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def now() -> datetime.datetime:
    """The time of day, for the services that are given no other."""
    return datetime.datetime.now(datetime.timezone.utc)


def page(request: Request, name: str, items: Sequence[JSON], usual_size: int = 50) -> Answer:
    """The page of `items`, under `name`, that a request asks for by pageSize and pageToken."""
    size, start = request.query.get("pageSize", "0"), request.query.get("pageToken", "0")
    if not (size + start).isdecimal():
        return Error(400, "pageSize or pageToken is invalid")
    end = int(start) + (int(size) or usual_size)
    found: JSON = {name: items[int(start):end]} if items else {}
    return json_answer({**found, "nextPageToken": str(end)} if end < len(items) else found)
