"""What the arguments of a run may be."""
from __future__ import annotations

from ..options import GeminiOptions


def check_rate(requests_per_minute: object) -> None:
    """TypeError or ValueError unless it is a number above 0, or None."""
    if requests_per_minute is None:
        return
    if isinstance(requests_per_minute, bool) or not isinstance(requests_per_minute, (int, float)):
        raise TypeError(f"requests_per_minute must be a number, not {requests_per_minute!r}")
    if not 0 < requests_per_minute < float("inf"):
        raise ValueError(f"requests_per_minute must be more than 0, not {requests_per_minute!r}")


def check_options(options: GeminiOptions) -> None:
    """ValueError for tools that would have to be run, which no run does."""
    if not options.tools or options.max_tool_rounds == 0:
        return
    toolbox = options.toolbox
    declared = [declaration for entry in toolbox.to_api() for declaration in entry.get("functionDeclarations") or ()]
    tools = [toolbox.tool(declaration["name"]) for declaration in declared]
    function = next((tool for tool in tools if tool is not None), None)
    if function is not None:
        raise ValueError(f"many prompts are answered without calling tools, and {function.name} is a function: write "
                         "max_tool_rounds=0 to get the calls as response.function_calls, tools=None to leave them out, "
                         "or use client.chat().send_message in threads of your own")
