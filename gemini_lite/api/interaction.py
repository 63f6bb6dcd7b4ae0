"""An interaction: a view of the API's dict, and of the events of its stream."""
from __future__ import annotations

import datetime
import json
from typing import Generic, List, Optional, cast

from .. import schema
from ..json_data import JSON, copied, dict_or_empty, list_of_dicts, str_or_none
from ..media import Blob, blob
from ..response import T
from ..turns.calls import FunctionCall
from .resources import parse_time

LIVE = frozenset(("in_progress", "queued"))  # the work goes on; every other status ends a wait
FAILED = frozenset(("failed", "cancelled", "budget_exceeded"))


class Interaction(Generic[T]):
    """A view of one interaction; `data` is its dict as it came. Absence is ``""``, ``[]`` or None.

    Source: https://ai.google.dev/gemini-api/docs/interactions
    """

    def __init__(self, data: JSON, response_schema: object = None) -> None:
        self.data = data
        self._schema = response_schema

    @property
    def id(self) -> str:
        """What `get`, `cancel` and ``previous_interaction`` take."""
        return str_or_none(self.data.get("id")) or ""

    @property
    def status(self) -> str:
        """``completed``, ``in_progress``, ``queued``, ``requires_action``, ``failed``, ``cancelled``, ``incomplete``,
        ``budget_exceeded``, ``requires_continuation``; there may be others."""
        return str_or_none(self.data.get("status")) or ""

    @property
    def is_live(self) -> bool:
        """Whether the work goes on."""
        return self.status in LIVE

    @property
    def model(self) -> Optional[str]:
        """The model that was asked, None for an agent."""
        return str_or_none(self.data.get("model"))

    @property
    def agent(self) -> Optional[str]:
        """The agent that was asked, None for a model."""
        return str_or_none(self.data.get("agent"))

    @property
    def created(self) -> Optional[datetime.datetime]:
        """When it was made."""
        return parse_time(self.data.get("created"))

    @property
    def updated(self) -> Optional[datetime.datetime]:
        """When it last changed."""
        return parse_time(self.data.get("updated"))

    @property
    def previous_interaction_id(self) -> Optional[str]:
        """The interaction that this one goes on from."""
        return str_or_none(self.data.get("previous_interaction_id"))

    @property
    def steps(self) -> List[JSON]:
        """What happened, in order: dicts with a ``type`` such as ``model_output``, ``thought`` or ``function_call``."""
        return list_of_dicts(self.data.get("steps"))

    @property
    def text(self) -> str:
        """The last piece of text of the answer, without the thoughts."""
        texts: List[str] = []
        for block in reversed(self._last_blocks()):
            if block.get("type") == "text" and isinstance(block.get("text"), str):
                texts.append(block["text"])
            elif texts:
                break
        return "".join(reversed(texts))

    @property
    def thinking(self) -> str:
        """The summaries of the thoughts."""
        blocks = [block for step in self.steps if step.get("type") == "thought"
                  for block in list_of_dicts(step.get("summary"))]
        return "".join([block["text"] for block in blocks if isinstance(block.get("text"), str)])

    @property
    def parsed(self) -> T:
        """The answer's JSON as `GenerateContentResponse.parsed` has it; ParseError if it does not fit."""
        cut = self.status if self.status == "incomplete" else None
        return cast(T, schema.parse_answer(self.text, self._schema, self, cut))

    @property
    def function_calls(self) -> List[FunctionCall]:
        """The calls that wait for a result: ``create([(call.name, result, call.id)], previous_interaction=...)``."""
        answered = {str_or_none(step.get("call_id")) for step in self.steps if step.get("type") == "function_result"}
        calls = [FunctionCall(str_or_none(step.get("name")) or "", dict_or_empty(step.get("arguments")),
                              str_or_none(step.get("id")))
                 for step in self.steps if step.get("type") == "function_call"]
        return [call for call in calls if call.id not in answered]

    @property
    def files(self) -> List[Blob]:
        """The pictures, sounds and other files in the answer that came with their data."""
        blocks = [block for step in self.steps if step.get("type") == "model_output"
                  for block in list_of_dicts(step.get("content"))]
        found = [blob({"mimeType": block.get("mime_type"), "data": block.get("data")}) for block in blocks
                 if isinstance(block.get("data"), str)]
        return [file for file in found if file is not None]

    @property
    def images(self) -> List[Blob]:
        """The pictures in the answer."""
        return [file for file in self.files if file.mime_type.startswith("image/")]

    @property
    def usage(self) -> JSON:
        """The token counts, by the API's names: ``total_tokens``, ``total_input_tokens`` and so on."""
        return dict_or_empty(self.data.get("usage"))

    @property
    def errors(self) -> List[JSON]:
        """What went wrong, as the API says it: dicts with ``code`` and ``message``."""
        return list_of_dicts(self.data.get("errors"))

    def _last_blocks(self) -> List[JSON]:
        """The content of the outputs at the end, thoughts left out."""
        blocks: List[JSON] = []
        for step in reversed(self.steps):
            if step.get("type") == "model_output":
                blocks = list_of_dicts(step.get("content")) + blocks
            elif step.get("type") != "thought":
                break
        return blocks

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Interaction(id={self.id!r}, status={self.status!r})"

    def _repr_markdown_(self) -> str:
        from ..display.pages import answer_page
        return answer_page([{"text": self.text}], {}, finish_reason=None, block_reason=None, sources=[]).markdown


class InteractionEvent:
    """A view of one event of a stream; `data` is its dict as it came."""

    def __init__(self, data: JSON) -> None:
        self.data = data

    @property
    def type(self) -> str:
        """``interaction.created``, ``step.start``, ``step.delta``, ``step.stop`` and so on; there may be others."""
        return str_or_none(self.data.get("event_type")) or ""

    @property
    def id(self) -> Optional[str]:
        """The token from which a broken stream is taken up again."""
        return str_or_none(self.data.get("event_id")) or None

    @property
    def delta(self) -> JSON:
        """What a ``step.delta`` brought."""
        return dict_or_empty(self.data.get("delta"))

    @property
    def text_delta(self) -> str:
        """The text that this event brought."""
        return (str_or_none(self.delta.get("text")) or "") if self.delta.get("type") == "text" else ""

    @property
    def thinking_delta(self) -> str:
        """The summary of thoughts that this event brought."""
        if self.delta.get("type") != "thought_summary":
            return ""
        return str_or_none(dict_or_empty(self.delta.get("content")).get("text")) or ""

    def __repr__(self) -> str:
        return f"InteractionEvent({self.type!r})"


class InteractionFold:
    """Folds the events of a stream into the interaction that a call without a stream would have given."""

    def __init__(self) -> None:
        self._data: JSON = {}
        self._steps: List[JSON] = []
        self._arguments: List[List[str]] = []  # the pieces of each step's arguments, joined once
        self._block: JSON = {}  # the text block that is still growing
        self._texts: List[str] = []  # its pieces, joined once
        self.completed = False

    @property
    def id(self) -> Optional[str]:
        """The interaction's id, once an event has said it."""
        return str_or_none(self._data.get("id"))

    def add(self, event: InteractionEvent) -> None:
        """Take in one event, which stays as it is."""
        if event.type in ("interaction.created", "interaction.completed"):
            self._data.update(dict_or_empty(event.data.get("interaction")))
            self.completed = event.type == "interaction.completed"
        elif event.type == "interaction.status_update":
            self._data.setdefault("id", event.data.get("interaction_id"))
            self._data["status"] = event.data.get("status")
        elif event.type == "step.start":
            self._start(event.data.get("index"), dict_or_empty(event.data.get("step")))
        elif event.type == "step.delta" and self._steps:
            self._add_delta(self._place(event.data.get("index")), event.delta)

    def data(self) -> JSON:
        """The interaction so far."""
        self._join_texts()
        steps = [self._whole(step, pieces) for step, pieces in zip(self._steps, self._arguments)]
        return {**self._data, "steps": list_of_dicts(self._data.get("steps")) or steps}

    def _start(self, index: object, step: JSON) -> None:
        if type(index) is int and 0 <= index == len(self._steps) - 1 and not self._steps[index]:
            self._steps[index] = copied(step)
            return
        self._steps.append(copied(step))
        self._arguments.append([])

    def _place(self, index: object) -> int:
        """The step that a delta belongs to: the one it names, else the last."""
        return index if type(index) is int and 0 <= index < len(self._steps) else len(self._steps) - 1

    def _add_delta(self, place: int, delta: JSON) -> None:
        step, kind = self._steps[place], delta.get("type")
        if kind == "arguments_delta":
            self._arguments[place].append(str_or_none(delta.get("arguments")) or "")
        elif kind == "thought_signature":
            step["signature"] = delta.get("signature")
        elif kind == "thought_summary":
            self._append_block(step, "summary", dict_or_empty(delta.get("content")))
        elif kind == "text_annotation_delta":
            _annotate(step, delta)
        elif kind in ("text", "image", "audio", "video", "document"):
            self._append_block(step, "content", delta)
        else:  # a result or a kind that is new: its fields belong to the step
            step.update({name: value for name, value in delta.items() if name != "type"})

    def _append_block(self, step: JSON, key: str, block: JSON) -> None:
        """Add a content block to the list that `key` names; neighbouring texts are one."""
        blocks = step[key] = step[key] if isinstance(step.get(key), list) else []
        grows = block.get("type") == "text" and isinstance(block.get("text"), str)
        if grows and blocks and blocks[-1] is self._block:
            self._texts.append(block["text"])
            return
        self._join_texts()
        if block:
            blocks.append(dict(block))
        if grows:
            self._block, self._texts = blocks[-1], [block["text"]]

    def _join_texts(self) -> None:
        if self._texts:
            self._block["text"] = "".join(self._texts)
            self._texts = [self._block["text"]]

    @staticmethod
    def _whole(step: JSON, pieces: List[str]) -> JSON:
        if not pieces:
            return step
        text = "".join(pieces)
        try:
            return {**step, "arguments": json.loads(text)}
        except (ValueError, RecursionError):
            return {**step, "arguments": text}


def _annotate(step: JSON, delta: JSON) -> None:
    blocks = list_of_dicts(step.get("content"))
    if blocks:
        blocks[-1]["annotations"] = [*list_of_dicts(blocks[-1].get("annotations")),
                                     *list_of_dicts(delta.get("annotations"))]
