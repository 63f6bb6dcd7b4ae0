"""What became of one prompt among many: its answer, or the error in its place."""
from __future__ import annotations

from typing import Any, Optional

from ..answers.usage import UsageMetadata
from ..errors import GeminiError
from ..json_data import JSON
from ..response import GenerateContentResponse


class Result:
    """The answer to one prompt, or its error; the other of the two is None.

    `index` counts the prompts from 0, `key` is the one given with the prompt or else its index as a string, `tries`
    the requests that were sent for it. What arrived before a failure is ``error.response``.
    """

    __slots__ = ("index", "key", "response", "error", "tries")

    def __init__(
        self, index: int, key: str, response: Optional[GenerateContentResponse[Any]],
        error: Optional[GeminiError] = None, tries: int = 1,
    ) -> None:
        self.index = index
        self.key = key
        self.response = response
        self.error = error
        self.tries = tries

    @property
    def text(self) -> Optional[str]:
        """The answer's text; None if the prompt failed."""
        return None if self.response is None else self.response.text

    @property
    def parsed(self) -> Any:
        """The answer as ``response_schema`` has it, as `GenerateContentResponse.parsed`; None if the prompt failed."""
        return None if self.response is None else self.response.parsed

    @property
    def usage_metadata(self) -> UsageMetadata:
        """The token counts of what arrived; without an answer, all of them None."""
        return UsageMetadata(usage_of(self.response, self.error))

    def unwrap(self) -> GenerateContentResponse[Any]:
        """The answer; raises the error if the prompt failed."""
        if self.response is None:
            raise self.error or GeminiError("There is neither an answer nor an error.")
        return self.response

    def __repr__(self) -> str:
        what = repr(self.text) if self.error is None else repr(self.error)
        return f"<Result {self.index} {self.key!r}: {what[:80]}>"


def usage_of(response: object, error: Optional[GeminiError]) -> JSON:
    """The ``usageMetadata`` of an answer, or of the one that an error keeps; ``{}`` if there is none."""
    answer = response if response is not None else getattr(error, "response", None)
    return answer.usage_metadata.data if isinstance(answer, GenerateContentResponse) else {}
