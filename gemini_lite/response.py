"""Names to read an answer by; the dict underneath stays as it came."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, List, Mapping, NamedTuple, NoReturn, Optional, Sequence, Union, cast

from .answers.usage import UsageMetadata
from .errors import GeminiError
from .errors.hints import no_attribute
from .json_data import (
    JSON, APIObject, copied, dict_or_empty, first_candidate, has_text, list_of_dicts, number_or_none, str_or_none,
)
from .turns.calls import FunctionCall, FunctionResult, open_calls

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    from .answers.citations import Citation
    from .display.pages import MimeBundle, Page
    from .media import Blob
    T = TypeVar("T", covariant=True, default=Any)  # what `GenerateContentResponse.parsed` is
else:
    from typing import TypeVar
    T = TypeVar("T")


class AnswerFormat(NamedTuple):
    """What was asked for: the ``response_schema``, and the user's names of tools by those on the wire."""

    schema: object = None
    tool_names: Mapping[str, str] = {}


class GenerateContentResponse(Generic[T]):
    """A view on one answer; `data` is the dict as it came. What is absent reads as ``""``, ``[]`` or None.

    Of several candidates, the one with index 0 is read. Objects of the API read both ways: ``part["inlineData"]`` and
    ``part.inline_data``. Source: https://ai.google.dev/api/generate-content
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
    def candidates(self) -> List[APIObject]:
        """The candidates as they came: dicts that read as attributes too."""
        return [APIObject(candidate) for candidate in list_of_dicts(dict_or_empty(self.data).get("candidates"))]

    @property
    def content(self) -> APIObject:
        """The content dict of the answer, ``{}`` if there is none."""
        return APIObject(dict_or_empty(self._first().get("content")))

    @property
    def parts(self) -> List[APIObject]:
        """The parts of the answer: dicts that read as attributes too."""
        return [APIObject(part) for part in self._plain_parts()]

    @property
    def text(self) -> str:
        """The answer's text, without the thoughts."""
        return "".join([part["text"] for part in self._plain_parts() if has_text(part) and not part.get("thought")])

    @property
    def thinking(self) -> str:
        """The text of the thoughts."""
        return "".join([part["text"] for part in self._plain_parts() if has_text(part) and part.get("thought")])

    @property
    def function_calls(self) -> List[FunctionCall]:
        """The calls that wait for a result; those that a server's own tools answered are not among them."""
        names = self._format.tool_names
        named = [(str_or_none(call.get("name")) or "", call) for call in open_calls(self._plain_parts())]
        return [FunctionCall(names.get(name, name), copied(dict_or_empty(call.get("args"))),
                             str_or_none(call.get("id"))) for name, call in named]

    @property
    def parsed(self) -> T:
        """The answer's JSON as the type that ``response_schema`` named; without one, or with a dict, as plain JSON.

        ParseError, with the text and the reason, if it does not fit; `text` works all the same.
        """
        from .schema import parse_answer
        cut = self.finish_reason if self.finish_reason != "STOP" else None
        return cast(T, parse_answer(self.text, self._format.schema, self, cut))

    @property
    def files(self) -> List[Blob]:
        """The files in the answer: pictures, sound and others, each with ``mime_type``, ``data`` and ``save(path)``.

        Pieces of raw PCM that follow each other, as a stream brings them, are one.
        """
        from . import media  # most answers are text
        found = [media.blob(dict_or_empty(part.get("inlineData"))) for part in self._plain_parts()]
        return media.joined(file for file in found if file is not None)

    @property
    def images(self) -> List[Blob]:
        """The pictures in the answer."""
        return [file for file in self.files if file.mime_type.startswith("image/")]

    @property
    def audio(self) -> List[Blob]:
        """Sound; raw PCM is saved as WAV."""
        return [file for file in self.files if file.mime_type.startswith("audio/")]

    @property
    def code(self) -> List[APIObject]:
        """The code that the model ran and what came of it, in order: the API's ``executableCode`` and
        ``codeExecutionResult`` dicts."""
        found = [dict_or_empty(part.get("executableCode") or part.get("codeExecutionResult"))
                 for part in self._plain_parts()]
        return [APIObject(item) for item in found if item]

    @property
    def citations(self) -> List[Citation]:
        """The sources of the answer: from search, maps and files, one for each piece of text, and of recited text."""
        from .answers.citations import citations  # most answers have none
        return citations(self._first())

    @property
    def search_queries(self) -> List[str]:
        """What was searched for on the web, and in files."""
        grounding = self._grounding()
        found = [query for key in ("webSearchQueries", "retrievalQueries", "imageSearchQueries")
                 for query in _list(grounding.get(key))]
        return [query for query in found if isinstance(query, str)]

    @property
    def search_entry_point(self) -> Optional[str]:
        """The HTML of Google's search suggestions, which its terms ask to be shown with a grounded answer."""
        return str_or_none(dict_or_empty(self._grounding().get("searchEntryPoint")).get("renderedContent"))

    @property
    def url_context(self) -> List[APIObject]:
        """The pages that were read: ``retrieved_url`` and ``url_retrieval_status``."""
        metadata = dict_or_empty(self._first().get("urlContextMetadata"))
        return [APIObject(item) for item in list_of_dicts(metadata.get("urlMetadata"))]

    @property
    def finish_reason(self) -> Optional[str]:
        """Why the answer ended, such as ``STOP`` or ``MAX_TOKENS``; None while it has not."""
        return str_or_none(self._first().get("finishReason"))

    @property
    def finish_message(self) -> Optional[str]:
        """What Google says about the finish reason."""
        return str_or_none(self._first().get("finishMessage"))

    @property
    def safety_ratings(self) -> List[APIObject]:
        """How harmful the answer is, by category; of a blocked prompt, how harmful that is."""
        ratings = list_of_dicts(self._first().get("safetyRatings"))
        return [APIObject(item) for item in ratings or list_of_dicts(self._feedback().get("safetyRatings"))]

    @property
    def avg_logprobs(self) -> Optional[float]:
        """The average log probability of the answer's tokens."""
        value = number_or_none(self._first().get("avgLogprobs"))
        return None if value is None else float(value)

    @property
    def logprobs(self) -> Optional[APIObject]:
        """The log probabilities that ``response_logprobs`` asks for: ``chosen_candidates``, ``top_candidates``."""
        value = dict_or_empty(self._first().get("logprobsResult"))
        return APIObject(value) if value else None

    @property
    def block_reason(self) -> Optional[str]:
        """Why the prompt was blocked, if it was."""
        return str_or_none(self._feedback().get("blockReason"))

    @property
    def block_reason_message(self) -> Optional[str]:
        """What Google says about the block reason."""
        return str_or_none(self._feedback().get("blockReasonMessage"))

    @property
    def service_tier(self) -> Optional[str]:
        """How the call was served: ``"standard"``, ``"flex"``, ``"priority"``."""
        return str_or_none(dict_or_empty(self.data).get("serviceTier")) or self.usage_metadata.service_tier

    @property
    def create_time(self) -> Optional[str]:
        """When the server took the request, as RFC 3339 has it (``"2026-07-22T23:37:37.029264Z"``)."""
        return str_or_none(dict_or_empty(self.data).get("createTime"))

    @property
    def usage_metadata(self) -> UsageMetadata:
        """The token counts."""
        return UsageMetadata(dict_or_empty(dict_or_empty(self.data).get("usageMetadata")))

    @property
    def model_version(self) -> Optional[str]:
        """The model that answered."""
        return str_or_none(dict_or_empty(self.data).get("modelVersion"))

    @property
    def response_id(self) -> Optional[str]:
        """The id that the server gave the answer."""
        return str_or_none(dict_or_empty(self.data).get("responseId"))

    if not TYPE_CHECKING:  # a type checker would take any name for known
        def __getattr__(self, name: str) -> NoReturn:
            raise no_attribute("response", self, name)

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
        return answer_page(self._plain_parts(), self._format.tool_names, finish_reason=self.finish_reason,
                           block_reason=self.block_reason, sources=[(one.title, one.uri) for one in self.citations])

    def _first(self) -> JSON:
        return first_candidate(self.data)

    def _plain_parts(self) -> List[JSON]:
        """The parts as they came, but calls that came in pieces are whole."""
        parts = _parts(self.data)
        for part in parts:
            if "functionCall" in part:
                from .answers.streamed_calls import assembled
                return assembled(parts)
        return parts

    def _grounding(self) -> JSON:
        return dict_or_empty(self._first().get("groundingMetadata"))

    def _feedback(self) -> JSON:
        return dict_or_empty(dict_or_empty(self.data).get("promptFeedback"))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.data!r})"


class StreamChunk(GenerateContentResponse[T]):
    """The view on one event of a stream; what it reads is what this event brought.

    When the tools of a turn have run, there is a chunk without an event, whose `tool_results` are their results; in
    all others it is None. A call that comes in pieces is read from the event that makes it whole.
    """

    __slots__ = ("tool_results", "_whole_parts")

    def __init__(
        self, data: JSON, answer_format: AnswerFormat = AnswerFormat(),
        tool_results: Optional[List[FunctionResult]] = None, parts: Optional[List[JSON]] = None,
    ) -> None:
        self.data = data
        self.earlier = ()
        self.tries = 1
        self._format = answer_format
        self.tool_results = tool_results
        self._whole_parts = parts  # None: those of `data`

    def _plain_parts(self) -> List[JSON]:
        return _parts(self.data) if self._whole_parts is None else self._whole_parts

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


def plain_parts(response: GenerateContentResponse[Any]) -> List[JSON]:
    """The parts of an answer as plain dicts, which are not copied; calls that came in pieces are whole."""
    return response._plain_parts()


def answer_format_of(response: GenerateContentResponse[Any]) -> AnswerFormat:
    """How an answer is read."""
    return response._format


def _parts(data: object) -> List[JSON]:
    return list_of_dicts(dict_or_empty(first_candidate(data).get("content")).get("parts"))


def _list(value: object) -> List[object]:
    return value if isinstance(value, list) else []


class Result(Generic[T]):
    """The answer to one prompt of many, or its error; the other of the two is None.

    `index` counts the prompts from 0, `key` is the one given with the prompt or else its index as a string, `tries`
    the requests that were sent for it. What arrived before a failure is ``error.response``.
    """

    __slots__ = ("index", "key", "response", "error", "tries")

    def __init__(
        self, index: int, key: str, response: Optional[GenerateContentResponse[T]],
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
    def parsed(self) -> Union[T, Any]:
        """The answer as ``response_schema`` has it, as `GenerateContentResponse.parsed`; None if the prompt failed."""
        return None if self.response is None else self.response.parsed

    @property
    def usage_metadata(self) -> UsageMetadata:
        """The token counts of what arrived; without an answer, all of them None."""
        answer = self.response if self.response is not None else getattr(self.error, "response", None)
        return answer.usage_metadata if isinstance(answer, GenerateContentResponse) else UsageMetadata({})

    def unwrap(self) -> GenerateContentResponse[T]:
        """The answer; raises the error if the prompt failed."""
        if self.response is None:
            raise self.error or GeminiError("There is neither an answer nor an error.")
        return self.response

    def __repr__(self) -> str:
        what = repr(self.text) if self.error is None else repr(self.error)
        return f"<Result {self.index} {self.key!r}: {what[:80]}>"
