"""The calls that a model asks for, run until it answers."""
from __future__ import annotations

from typing import List, NamedTuple, Optional, Tuple

from . import contents, tools
from .calls import FunctionCall, FunctionResult, function_calls, results_content
from .json_data import JSON
from .options import GeminiOptions
from .response import GenerateContentResponse

Runnable = Tuple[tools.Tool, FunctionCall]


class ToolRound(NamedTuple):
    """What one round of calls adds to the conversation, and the results by the user's names of the tools."""

    turns: List[JSON]
    results: List[FunctionResult]


def runnable_calls(response: GenerateContentResponse, options: GeminiOptions, rounds: int) -> List[Runnable]:
    """The calls of the answer with their tools; empty where the calls, or some of them, are the caller's.

    `rounds` is how many rounds this send has run already.
    """
    if not options.tools or rounds >= options.max_tool_rounds:
        return []
    found = [(options.toolbox.tool(call.get("name", "")), call) for call in function_calls(response.parts)]
    calls = [(tool, FunctionCall(call["name"], call.get("args") or {}, call.get("id")))
             for tool, call in found if tool is not None]
    return calls if len(calls) == len(found) else []


def run_calls(response: GenerateContentResponse, options: GeminiOptions, rounds: int) -> Optional[ToolRound]:
    """Run the calls of the answer: the model's turn and the one with the results; None if there is nothing to run."""
    calls = runnable_calls(response, options, rounds)
    if not calls:
        return None
    responses = tools.run_all(calls, options.parallel_tools)
    named = [(call.name, one, call.id) for (_, call), one in zip(calls, responses)]
    turns = [{"role": "model", "parts": contents.sendable(response.parts)},
             results_content(function_calls(response.parts), named)]
    return ToolRound(turns, [FunctionResult(tool.name, one, call.id) for (tool, call), one in zip(calls, responses)])
