"""Names to read an answer by; the dict underneath stays as it came."""
from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Generic, List, Mapping, NamedTuple, Optional, Sequence, Tuple, cast

from . import media, schema
from .calls import FunctionCall, FunctionResult
from .errors import BlockedError, GeminiError, IncompleteError, ParseError
from .json_data import JSON, dict_or_empty, has_text, int_or_none, list_of_dicts, str_or_none

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    from .display.pages import MimeBundle, Page
    T = TypeVar("T", default=Any)  # what `GenerateContentResponse.parsed` is
else:
    from typing import TypeVar
    T = TypeVar("T")

_BLOCKING = frozenset(("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"))
_MALFORMED = frozenset(("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL"))


class UsageMetadata:
    """Token counts by the API's names in snake_case; a number that the API did not send is None."""

    __slots__ = ("data",)

    def __init__(self, data: JSON) -> None:
        self.data = data

    @property
    def prompt_token_count(self) -> Optional[int]:
        return int_or_none(self.data.get("promptTokenCount"))

    @property
    def cached_content_token_count(self) -> Optional[int]:
        """The part of the prompt that came from a cache."""
        return int_or_none(self.data.get("cachedContentTokenCount"))

    @property
    def candidates_token_count(self) -> Optional[int]:
        """The answer, without the thoughts."""
        return int_or_none(self.data.get("candidatesTokenCount"))

    @property
    def thoughts_token_count(self) -> Optional[int]:
        return int_or_none(self.data.get("thoughtsTokenCount"))

    @property
    def tool_use_prompt_token_count(self) -> Optional[int]:
        return int_or_none(self.data.get("toolUsePromptTokenCount"))

    @property
    def total_token_count(self) -> Optional[int]:
        return int_or_none(self.data.get("totalTokenCount"))

    def __repr__(self) -> str:
        return f"UsageMetadata({self.data!r})"


class AnswerFormat(NamedTuple):
    """What was asked for: the ``response_schema``, and the user's names of tools by those on the wire."""

    schema: object = None
    tool_names: Mapping[str, str] = {}


class Citation(NamedTuple):
    """A source: `segment` is the piece of the answer it stands for, ``""`` where Google names none."""

    title: str
    uri: str
    segment: str


class GenerateContentResponse(Generic[T]):
    """A view on one answer; `data` is the dict as it came. What is absent reads as ``""``, ``[]`` or None.

    Of several candidates, the one with index 0 is read. Source: https://ai.google.dev/api/generate-content
    """

    __slots__ = ("data", "earlier", "tries", "_format")

    def __init__(
        self, data: JSON, answer_format: AnswerFormat = AnswerFormat(),
        earlier: Sequence[GenerateContentResponse[Any]] = (),
    ) -> None:
        self.data = data
        self.earlier = earlier
        self.tries = 1  # requests made for it; more than one where one failed
        self._format = answer_format

    @property
    def rounds(self) -> List[GenerateContentResponse[Any]]:
        """All answers of a send that called tools, in order; this one is the last."""
        return [*self.earlier, self]

    @property
    def candidates(self) -> List[JSON]:
        return list_of_dicts(dict_or_empty(self.data).get("candidates"))

    @property
    def content(self) -> JSON:
        """The content dict of the answer, ``{}`` if there is none."""
        return dict_or_empty(_first(self.data).get("content"))

    @property
    def parts(self) -> List[JSON]:
        return list_of_dicts(self.content.get("parts"))

    @property
    def text(self) -> str:
        """The answer's text, without the thoughts."""
        return "".join([part["text"] for part in self.parts if has_text(part) and not part.get("thought")])

    @property
    def thinking(self) -> str:
        """The text of the thoughts."""
        return "".join([part["text"] for part in self.parts if has_text(part) and part.get("thought")])

    @property
    def function_calls(self) -> List[FunctionCall]:
        names = self._format.tool_names
        found = [dict_or_empty(part.get("functionCall")) for part in self.parts]
        named = [(str_or_none(call.get("name")) or "", call) for call in found if call]
        return [FunctionCall(names.get(name, name), dict_or_empty(call.get("args")), str_or_none(call.get("id")))
                for name, call in named]

    @property
    def parsed(self) -> T:
        """The answer's JSON as the type that ``response_schema`` named; without one, or with a dict, as plain JSON.

        ParseError, with the text and the reason, if it does not fit; `text` works all the same.
        """
        text, hint = self.text, self._format.schema
        try:
            value = json.loads(text)
            return cast(T, value if hint is None else schema.from_json(value, hint))
        except (ValueError, ParseError) as error:
            cut = f" (the answer was cut: {self.finish_reason})" if self.finish_reason not in (None, "STOP") else ""
            reason = "NOT_JSON" if isinstance(error, ValueError) else "MISMATCH"
            raise ParseError(f"The answer does not fit its schema{cut}: {error}. The answer: {text[:500]}",
                             reason=reason, response=self) from None

    @property
    def files(self) -> List[media.Blob]:
        """The files in the answer: pictures, sound and others, each with ``mime_type``, ``data`` and ``save(path)``.

        Pieces of raw PCM that follow each other, as a stream brings them, are one.
        """
        found = [media.blob(dict_or_empty(part.get("inlineData"))) for part in self.parts]
        return media.joined(file for file in found if file is not None)

    @property
    def images(self) -> List[media.Blob]:
        return [file for file in self.files if file.mime_type.startswith("image/")]

    @property
    def audio(self) -> List[media.Blob]:
        """Sound; raw PCM is saved as WAV."""
        return [file for file in self.files if file.mime_type.startswith("audio/")]

    @property
    def code(self) -> List[JSON]:
        """The code that the model ran and what came of it, in order: the API's ``executableCode`` and
        ``codeExecutionResult`` dicts."""
        found = [dict_or_empty(part.get("executableCode") or part.get("codeExecutionResult")) for part in self.parts]
        return [item for item in found if item]

    @property
    def citations(self) -> List[Citation]:
        """The sources that grounding gives for pieces of the text; one for each piece and source."""
        return _citations(dict_or_empty(_first(self.data).get("groundingMetadata")))

    @property
    def finish_reason(self) -> Optional[str]:
        return str_or_none(_first(self.data).get("finishReason"))

    @property
    def block_reason(self) -> Optional[str]:
        """Why the prompt was blocked, if it was."""
        return str_or_none(dict_or_empty(dict_or_empty(self.data).get("promptFeedback")).get("blockReason"))

    @property
    def usage_metadata(self) -> UsageMetadata:
        return UsageMetadata(dict_or_empty(dict_or_empty(self.data).get("usageMetadata")))

    @property
    def model_version(self) -> Optional[str]:
        return str_or_none(dict_or_empty(self.data).get("modelVersion"))

    @property
    def response_id(self) -> Optional[str]:
        return str_or_none(dict_or_empty(self.data).get("responseId"))

    def __str__(self) -> str:
        return self.text

    def _repr_markdown_(self) -> str:
        return self._page().markdown

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> MimeBundle:
        return self._page().bundle

    def _ipython_display_(self) -> None:
        """Show text, pictures and players as outputs of their own, where they are several."""
        from .display import notebook
        outputs = self._page().outputs
        if len(outputs) < 2 or not notebook.in_notebook():
            raise NotImplementedError  # IPython asks for the MIME bundle then, and numbers the output
        notebook.publish(outputs)

    def _page(self) -> Page:
        from .display.pages import answer_page
        return answer_page(self.parts, self._format.tool_names, finish_reason=self.finish_reason,
                           block_reason=self.block_reason, sources=[(one.title, one.uri) for one in self.citations])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.data!r})"


class StreamChunk(GenerateContentResponse[T]):
    """The view on one event of a stream; what it reads is what this event brought.

    `tool_results` is None but on the chunk, without an event of its own, that comes when the tools of a turn have run:
    there it has their results.
    """

    __slots__ = ("tool_results",)

    def __init__(
        self, data: JSON, answer_format: AnswerFormat = AnswerFormat(),
        tool_results: Optional[List[FunctionResult]] = None,
    ) -> None:
        self.data = data
        self.earlier = ()
        self.tries = 1
        self._format = answer_format
        self.tool_results = tool_results

    @property
    def text_delta(self) -> str:
        """The text that this event brought."""
        return self.text

    @property
    def thinking_delta(self) -> str:
        """The thoughts that this event brought."""
        return self.thinking

    @property
    def response(self) -> GenerateContentResponse[T]:
        """The event as a response."""
        return GenerateContentResponse(self.data, self._format)


def _citations(grounding: JSON) -> List[Citation]:
    chunks = list_of_dicts(grounding.get("groundingChunks"))
    sources = [dict_or_empty(chunk.get("web") or chunk.get("retrievedContext") or chunk.get("maps"))
               for chunk in chunks]
    pairs: List[Tuple[int, str]] = []
    for support in list_of_dicts(grounding.get("groundingSupports")):
        indices, segment = support.get("groundingChunkIndices"), dict_or_empty(support.get("segment"))
        known = [index for index in indices if index in range(len(sources))] if isinstance(indices, list) else []
        pairs += [(index, str_or_none(segment.get("text")) or "") for index in known]
    used = {index for index, _ in pairs}
    pairs += [(index, "") for index in range(len(sources)) if index not in used]
    named = [(str_or_none(source.get("title")) or "", str_or_none(source.get("uri")) or "") for source in sources]
    return [Citation(*named[index], segment)
            for index, segment in pairs]


def _first(data: JSON) -> JSON:
    """The candidate with index 0 (an index that is absent is 0), ``{}`` if there is none."""
    for candidate in list_of_dicts(dict_or_empty(data).get("candidates")):
        if not candidate.get("index"):
            return candidate
    return {}


def check(response: GenerateContentResponse[Any], streamed: bool = False) -> None:
    """Raise what stands in the way of calling this answer whole: a block, a broken call, a missing end."""
    reason = response.finish_reason or ""
    blocked = response.block_reason
    if blocked:
        raise BlockedError(f"The prompt was blocked ({blocked}). Change the prompt; error.response.data says more.",
                           reason=blocked, response=response)
    if reason in _BLOCKING or reason.startswith("IMAGE_"):
        raise BlockedError(f"The answer was blocked ({reason}){_finish_message(response)}. Change the prompt; "
                           "error.response holds what there is.", reason=reason, response=response)
    if reason in _MALFORMED:
        raise IncompleteError(f"The model asked for a call that cannot be run ({reason}){_finish_message(response)}. "
                              "Ask again, or simplify the tools.", reason=reason, response=response, retryable=True)
    if streamed and not reason:
        raise IncompleteError("The stream ended without a finish reason: the answer is not whole. Ask again; "
                              "error.response holds what arrived.", reason="CUT", response=response, retryable=True)
    if not response.candidates:
        raise IncompleteError("The answer holds no candidate and no reason for it. Ask again.",
                              reason="NO_CANDIDATES", response=response, retryable=True)


def _finish_message(response: GenerateContentResponse[Any]) -> str:
    message = _first(response.data).get("finishMessage")
    return f": {message}" if message else ""


class Result:
    """The answer to one prompt of many, or its error; the other of the two is None.

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
        """The answer as ``response_schema`` has it; None if the prompt failed."""
        return None if self.response is None else self.response.parsed

    @property
    def usage_metadata(self) -> UsageMetadata:
        """The token counts of what arrived; without an answer, all of them None."""
        answer = self.response if self.response is not None else getattr(self.error, "response", None)
        return answer.usage_metadata if isinstance(answer, GenerateContentResponse) else UsageMetadata({})

    def unwrap(self) -> GenerateContentResponse[Any]:
        """The answer; raises the error if the prompt failed."""
        if self.response is None:
            raise self.error or GeminiError("There is neither an answer nor an error.")
        return self.response

    def __repr__(self) -> str:
        what = repr(self.text) if self.error is None else repr(self.error)
        return f"<Result {self.index} {self.key!r}: {what[:80]}>"
