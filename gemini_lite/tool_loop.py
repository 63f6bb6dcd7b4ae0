"""The calls that a model asks for, run until it answers."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any, List, NamedTuple, Optional, Tuple

from .answers.check import check_sendable
from .errors import ToolResultError
from .json_data import JSON, copied, dict_or_empty, str_or_none
from .options import GeminiOptions
from .response import GenerateContentResponse, plain_parts
from .turns.calls import CallResult, FunctionCall, FunctionResult, open_calls, results_content
from .turns.history import sendable

if TYPE_CHECKING:
    from .tools import Tool

Runnable = Tuple["Tool", FunctionCall]


class ToolRound(NamedTuple):
    """What one round of calls adds to the conversation, and the results by the user's names of the tools.

    `failure` says why the result of one could not be sent; the model is told so in its place.
    """

    turns: List[JSON]
    results: List[FunctionResult]
    failure: Optional[Exception] = None

    def raise_failure(self) -> None:
        """Raise ToolResultError if the result of a tool could not be sent."""
        if self.failure is not None:
            raise ToolResultError(
                f"The tools ran, but {self.failure}. send_message(error.turns) goes on without running them again.",
                reason="TOOL_RESULT") from self.failure


def runnable_calls(response: GenerateContentResponse[Any], options: GeminiOptions, rounds: int) -> List[Runnable]:
    """The calls of the answer with their tools; empty where the calls, or some of them, are the caller's.

    `rounds` is how many rounds this send has run already.
    """
    if not options.tools or rounds >= options.max_tool_rounds:
        return []
    asked = open_calls(plain_parts(response))
    found = [(options.toolbox.tool(str_or_none(call.get("name")) or ""), call) for call in asked]
    calls = [(tool, FunctionCall(call["name"], dict_or_empty(call.get("args")), str_or_none(call.get("id"))))
             for tool, call in found if tool is not None]
    return calls if len(calls) == len(found) else []


def run_calls(response: GenerateContentResponse[Any], options: GeminiOptions, rounds: int) -> Optional[ToolRound]:
    """Run the calls of the answer: the model's turn and the one with the results; None if there is nothing to run.

    IncompleteError for an answer that could not be sent back.
    """
    check_sendable(plain_parts(response), response)
    calls = runnable_calls(response, options, rounds)
    if not calls:
        return None
    from .tools import run_all
    outputs = run_all(calls, options.parallel_tools)
    parts = sendable(plain_parts(response))
    named = [CallResult(call.name, output.response, call.id, output.parts)
             for (_, call), output in zip(calls, outputs)]
    turns = [{"role": "model", "parts": parts}, results_content(open_calls(parts), named)]
    results = [FunctionResult(tool.name, copied(output.response), call.id)  # what is shown is not what is sent
               for (tool, call), output in zip(calls, outputs)]
    return ToolRound(turns, results, next((output.failure for output in outputs if output.failure), None))
