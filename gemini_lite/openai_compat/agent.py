"""One answer in the form that AnythingLLM's agents take: events while it arrives, and a result dict at its end."""
from __future__ import annotations

import json
import logging
import re
from typing import Callable, Dict, Iterable, List, Optional, TypedDict

from ..json_data import JSON
from ..route import new_session_id
from .attribute_dict import AttributeDict

Event = Dict[str, str]
OnEvent = Callable[[Event], object]

log = logging.getLogger("gemini_lite")


class AgentResult(TypedDict):
    """What an agent gets for one request; `textResponse` is None if the model wrote no text."""

    textResponse: Optional[str]
    functionCalls: List[JSON]
    usage: Optional[AttributeDict]
    finishReason: Optional[str]


def to_agent_result(chunks: Iterable[AttributeDict], on_event: Optional[OnEvent] = None) -> AgentResult:
    """The result of an answer: `chunks` are its ``chat.completion.chunk``s, or the one whole ``chat.completion``.

    `on_event` gets the events as the chunks arrive.
    """
    send = on_event or _ignore_event
    answer_id = new_session_id()
    result: AgentResult = {"textResponse": None, "functionCalls": [], "usage": None, "finishReason": None}
    texts: List[str] = []
    for chunk in chunks:
        result["usage"] = chunk.usage or result["usage"]
        for choice in chunk.choices[:1]:
            result["finishReason"] = choice.finish_reason or result["finishReason"]
            message = choice["delta"] if "delta" in choice else choice.message
            if message.content:
                texts.append(message.content)
                send({"type": "textResponseChunk", "uuid": answer_id, "content": message.content})
            for call in message.tool_calls or ():
                send(_call_event(call, answer_id, len(result["functionCalls"])))
                result["functionCalls"].append(_to_function_call(call))
    result["textResponse"] = "".join(texts) or None
    return result


def warn_if_without_tools(model: str) -> None:
    """Log a warning if `model` is not of the family that is known to take tools."""
    if not re.match(r"(.*/)?gemini", model):
        log.warning("%s may have no tools: models that are named gemini do", model)


def _ignore_event(event: Event) -> None:
    pass


def _call_event(call: AttributeDict, answer_id: str, number: int) -> Event:
    """The event for an answer's call `number`, counted from 0; AnythingLLM numbers all but the first."""
    suffix = f":{number}" if number else ""
    return {"type": "toolCallInvocation", "uuid": f"{answer_id}:tool_call_invocation{suffix}",
            "content": f"Assembling Tool Call: {call.function.name}({call.function.arguments})"}


def _to_function_call(call: AttributeDict) -> JSON:
    extra = {"extra_content": call["extra_content"]} if "extra_content" in call else {}
    return {"id": call.id, "name": call.function.name, "arguments": json.loads(call.function.arguments), **extra}
