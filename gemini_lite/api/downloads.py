"""Downloads: streamed to memory or to a path, over at most three redirects, the key only to the API's own host."""
from __future__ import annotations

import math
import pathlib
from typing import Callable, Optional, TypeVar, Union

from .. import files_on_disk
from ..auth.secret import Secret, hides_frames
from ..errors import TransportError
from ..transport import raw
from ..transport.deadline import Deadline
from ..transport.transport import OpenAnswer
from .sending import Sender
from .urls import check_https, joined, same_origin

T = TypeVar("T")

REDIRECTS = 3


def download(
    sender: Sender, url: Secret, to: Optional[files_on_disk.StrPath], deadline: Deadline,
) -> Union[bytes, pathlib.Path]:
    """The bytes at `url`, or the path that they were written to, whole or not at all."""
    if to is None:
        return _get(sender, url, deadline, lambda answer: b"".join(answer.blocks(sender.transport.limits.body)))
    path = pathlib.Path(to)

    def write(answer: OpenAnswer) -> pathlib.Path:
        with files_on_disk.replacing(path) as file:
            for block in answer.blocks(math.inf):
                file.write(block)
        return path

    return _get(sender, url, deadline, write)


@hides_frames
def _get(sender: Sender, url: Secret, deadline: Deadline, take: Callable[[OpenAnswer], T]) -> T:
    """What `take` makes of the answer at `url`; all of it again as its errors allow."""
    settings = sender.settings(deadline)

    def attempt() -> T:
        place = url
        for _ in range(REDIRECTS + 1):
            endpoint = sender.route.backend.endpoints[0]
            own = same_origin(place.value, endpoint)
            headers = sender.route.backend.headers("", "") if own else {}
            with raw.open_answer(sender.transport,
                                 raw.RawRequest("GET", place, headers, None, settings, own)) as answer:
                if 200 <= answer.status < 300:
                    return take(answer)
                location = answer.headers.get("Location") if 300 <= answer.status < 400 else None
                if not location:
                    raise raw.RawAnswer(answer.status, answer.headers, answer.error_body()).error()
            place = Secret(check_https(joined(place.value, location), endpoint))
        raise TransportError(f"The download was redirected more than {REDIRECTS} times. Ask again, or check the base "
                             "URL.", reason="REDIRECTS")

    return raw.run(sender.transport, attempt, settings)
