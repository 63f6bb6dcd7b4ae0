"""What every chat model of LangChain has."""
from driver import CALLS, PROMPT, cut, error, weather
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool


def features(chat, schema):
    """The features that they share, for `chat`."""
    def pieces():
        return (chunk.text for chunk in chat.stream(PROMPT) if chunk.text)

    def tools():
        asking = chat.bind_tools([tool(weather)])
        asked = asking.invoke(PROMPT)
        results = [tool(weather).invoke(call) for call in asked.tool_calls]
        answer = asking.invoke([HumanMessage(PROMPT), asked, *results])
        return {"calls": CALLS, "text": answer.text}

    def error_of():
        try:
            chat.invoke(PROMPT)
        except Exception as caught:
            return error(caught, getattr(caught, "status_code", None))

    return {"text": lambda: chat.invoke(PROMPT).text, "stream": lambda: list(pieces()), "tools": tools,
            "JSON": lambda: chat.with_structured_output(schema, method="json_schema").invoke(PROMPT),
            "errors": error_of, "cut": lambda: cut(pieces())}
