"""The Interactions API for `FakeGemini`: stored interactions, named events, streams that break on purpose."""
from __future__ import annotations

import itertools
import json
import re
import threading
from collections import deque
from typing import Callable, Deque, Dict, Iterator, List, Optional, Union

from ..json_data import JSON, dict_or_empty
from .replies import Answer, Error, Raw, json_answer
from .request import Request

_ROUTE = re.compile(r"/[^/]+(?:/projects/[^/]+/locations/[^/]+)?/interactions(?:/([^/?]+)(/cancel)?)?")

Steps = List[JSON]


def text_step(text: str) -> JSON:
    """A ``model_output`` step with one text."""
    return {"type": "model_output", "content": [{"type": "text", "text": text}]}


class InteractionsService:
    """Answers the Interactions API; append it to ``FakeGemini.services``.

    `answer` gives the output steps for a request's body; `statuses` are those that a background interaction goes
    through, one for each look. `break_after` scripts streams: each entry is the number of events after which the next
    stream is cut, None lets it through.
    """

    def __init__(self, answer: Callable[[JSON], Union[str, Steps]] = lambda body: "ok") -> None:
        self._answer = answer
        self.statuses: List[str] = ["in_progress", "completed"]
        self.break_after: Deque[Optional[int]] = deque()
        self.final: JSON = {}  # laid over every finished interaction
        self.interactions: Dict[str, JSON] = {}
        self._inputs: Dict[str, object] = {}
        self._looks: Dict[str, int] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def __call__(self, request: Request) -> Optional[Answer]:
        """The answer, or None for a request of another API."""
        found = _ROUTE.fullmatch(request.bare_path)
        if found is None:
            return None
        id, cancel = found.groups()
        with self._lock:
            if id is None:
                return self._create(request) if request.method == "POST" else None
            if id not in self.interactions:
                return Error(404, f"Interaction {id} was not found")
            if cancel:
                self.interactions[id]["status"] = "cancelled"
            elif request.method == "DELETE":
                del self.interactions[id]
                return json_answer({})
            return self._get(id, request.query)

    def _create(self, request: Request) -> Answer:
        body = dict_or_empty(request.body)
        previous = body.get("previous_interaction_id")
        if ("model" in body) == ("agent" in body) or "input" not in body and "continuation_token" not in body:
            return Error(400, "Exactly one of model and agent, and an input, are required")
        if previous is not None and str(previous) not in self.interactions:
            return Error(404, f"Interaction {previous} was not found")
        steps = self._answer(body)
        id = f"int_{next(self._numbers)}"
        background = bool(body.get("background"))
        data: JSON = {
            "id": id, "status": self.statuses[0] if background else "completed",
            "created": "2026-11-21T00:00:00Z", "updated": "2026-11-21T00:00:00Z",
            **{name: body[name] for name in ("model", "agent", "previous_interaction_id") if name in body},
            "steps": [text_step(steps)] if isinstance(steps, str) else steps,
            "usage": {"total_input_tokens": 3, "total_output_tokens": 5, "total_tokens": 8},
            **({} if background else self.final)}
        if any(step.get("type") == "function_call" for step in data["steps"]):
            data["status"] = "requires_action"
        self.interactions[id] = data
        self._inputs[id] = body.get("input")
        if body.get("stream"):
            return self._stream(data, "")
        return json_answer(data if not background else {**data, "steps": []})

    def _get(self, id: str, query: Dict[str, str]) -> Answer:
        data = self.interactions[id]
        if query.get("stream") == "true":
            return self._stream(data, query.get("last_event_id", ""))
        if data["status"] in ("in_progress", "queued"):
            self._looks[id] = self._looks.get(id, 0) + 1
            data["status"] = self.statuses[min(self._looks[id], len(self.statuses) - 1)]
            if data["status"] not in ("in_progress", "queued"):
                data.update(self.final)
        if query.get("include_input") == "true":
            content = [{"type": "text", "text": str(self._inputs.get(id))}]
            data = {**data, "steps": [{"type": "user_input", "content": content}, *data["steps"]]}
        return json_answer(data)

    def _stream(self, data: JSON, last_event: str) -> Answer:
        events = list(_events({**data, "status": "completed" if data["status"] == "in_progress" else data["status"]}))
        number = last_event.rpartition("_")[2]
        left = events[int(number) if number.isdecimal() else 0:]
        cut = self.break_after.popleft() if self.break_after else None
        pieces = [_sse(event) for event in (left if cut is None else left[:cut])]
        end = [b"data: [DONE]\n\n"] if cut is None else []
        return Raw(*pieces, *end, headers={"Content-Type": "text/event-stream"}, cut=cut is not None)


def _events(data: JSON) -> Iterator[JSON]:
    """The events that bring an interaction: what is text comes in pieces."""
    numbers = itertools.count(1)

    def event(kind: str, **fields: object) -> JSON:
        return {"event_type": kind, "event_id": f"ev_{next(numbers)}", **fields}

    head = {name: value for name, value in data.items() if name not in ("steps", "usage")}
    yield event("interaction.created", interaction={**head, "status": "in_progress"})
    for index, step in enumerate(data["steps"]):
        empty = {name: value for name, value in step.items() if name not in ("content", "arguments", "summary")}
        yield event("step.start", index=index, step=empty)
        for delta in _deltas(step):
            yield event("step.delta", index=index, delta=delta)
        yield event("step.stop", index=index)
    yield event("interaction.completed", interaction={**head, "usage": data.get("usage")})


def _deltas(step: JSON) -> Iterator[JSON]:
    for block in step.get("content", ()):
        if block.get("type") == "text":
            text = block["text"]
            yield from ({"type": "text", "text": text[place:place + 4]} for place in range(0, len(text), 4))
        else:
            yield block
    for block in step.get("summary", ()):
        yield {"type": "thought_summary", "content": block}
    if "arguments" in step:
        text = json.dumps(step["arguments"])
        yield from ({"type": "arguments_delta", "arguments": text[place:place + 3]} for place in range(0, len(text), 3))


def _sse(event: JSON) -> bytes:
    return (f"event: {event['event_type']}\nid: {event['event_id']}\n"
            f"data: {json.dumps(event, ensure_ascii=False)}\n\n").encode()
