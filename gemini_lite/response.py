"""Names to read an answer by; the dict underneath stays as it came."""
from __future__ import annotations

import contextlib
from typing import Any, Dict, Generator, List, NamedTuple, Optional

from . import media
from .errors import BlockedError, GeminiError, IncompleteError
from .tools import FunctionCall

_BLOCKING = frozenset(("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"))
_MALFORMED = frozenset(("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL"))


class UsageMetadata:
    """Token counts by the API's names in snake_case; a number that the API did not send is None."""

    __slots__ = ("data",)

    def __init__(self, data: Dict[str, Any]) -> None:
        self.data = data

    @property
    def prompt_token_count(self) -> Optional[int]:
        return self.data.get("promptTokenCount")

    @property
    def cached_content_token_count(self) -> Optional[int]:
        """The part of the prompt that came from a cache."""
        return self.data.get("cachedContentTokenCount")

    @property
    def candidates_token_count(self) -> Optional[int]:
        """The answer, without the thoughts."""
        return self.data.get("candidatesTokenCount")

    @property
    def thoughts_token_count(self) -> Optional[int]:
        return self.data.get("thoughtsTokenCount")

    @property
    def tool_use_prompt_token_count(self) -> Optional[int]:
        return self.data.get("toolUsePromptTokenCount")

    @property
    def total_token_count(self) -> Optional[int]:
        return self.data.get("totalTokenCount")

    def __repr__(self) -> str:
        return "UsageMetadata(%r)" % (self.data,)


class Citation(NamedTuple):
    """A source: `segment` is the piece of the answer it stands for, ``""`` where Google names none."""

    title: str
    uri: str
    segment: str


class GenerateContentResponse:
    """A view on one answer; `data` is the dict as it came. What is absent reads as ``""``, ``[]`` or None.

    Of several candidates, the one with index 0 is read. Source: https://ai.google.dev/api/generate-content
    """

    __slots__ = ("data",)

    def __init__(self, data: Dict[str, Any]) -> None:
        self.data = data

    @property
    def candidates(self) -> List[Dict[str, Any]]:
        return self.data.get("candidates") or []

    @property
    def content(self) -> Dict[str, Any]:
        """The content dict of the answer, ``{}`` if there is none."""
        return _first(self.data).get("content") or {}

    @property
    def parts(self) -> List[Dict[str, Any]]:
        return self.content.get("parts") or []

    @property
    def text(self) -> str:
        """The answer's text, without the thoughts."""
        return "".join([part["text"] for part in self.parts if "text" in part and not part.get("thought")])

    @property
    def thinking(self) -> str:
        """The text of the thoughts."""
        return "".join([part["text"] for part in self.parts if "text" in part and part.get("thought")])

    @property
    def function_calls(self) -> List[FunctionCall]:
        found = [part["functionCall"] for part in self.parts if part.get("functionCall")]
        return [FunctionCall(call.get("name", ""), call.get("args") or {}, call.get("id")) for call in found]

    @property
    def files(self) -> List[media.Blob]:
        """The files in the answer: pictures, sound and others, each with ``mime_type``, ``data`` and ``save(path)``."""
        return [media.blob(part) for part in self.parts if part.get("inlineData")]

    @property
    def images(self) -> List[media.Blob]:
        return [file for file in self.files if file.mime_type.startswith("image/")]

    @property
    def audio(self) -> List[media.Blob]:
        """Sound; raw PCM is saved as WAV."""
        return [file for file in self.files if file.mime_type.startswith("audio/")]

    @property
    def code(self) -> List[Dict[str, Any]]:
        """The code that the model ran and what came of it, in order: the API's ``executableCode`` and
        ``codeExecutionResult`` dicts."""
        found = [part.get("executableCode") or part.get("codeExecutionResult") for part in self.parts]
        return [item for item in found if item]

    @property
    def citations(self) -> List[Citation]:
        """The sources that grounding gives for pieces of the text; one for each piece and source."""
        return _citations(_first(self.data).get("groundingMetadata") or {})

    @property
    def finish_reason(self) -> Optional[str]:
        return _first(self.data).get("finishReason")

    @property
    def block_reason(self) -> Optional[str]:
        """Why the prompt was blocked, if it was."""
        return (self.data.get("promptFeedback") or {}).get("blockReason")

    @property
    def usage_metadata(self) -> UsageMetadata:
        return UsageMetadata(self.data.get("usageMetadata") or {})

    @property
    def model_version(self) -> Optional[str]:
        return self.data.get("modelVersion")

    @property
    def response_id(self) -> Optional[str]:
        return self.data.get("responseId")

    def __str__(self) -> str:
        return self.text

    def _repr_markdown_(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return "%s(%r)" % (type(self).__name__, self.data)


class StreamChunk(GenerateContentResponse):
    """The view on one event of a stream; what it reads is what this event brought."""

    __slots__ = ()

    text_delta = GenerateContentResponse.text
    thinking_delta = GenerateContentResponse.thinking

    @property
    def response(self) -> GenerateContentResponse:
        """The event as a response."""
        return GenerateContentResponse(self.data)


def _citations(grounding: Dict[str, Any]) -> List[Citation]:
    sources = [chunk.get("web") or chunk.get("retrievedContext") or chunk.get("maps") or {}
               for chunk in grounding.get("groundingChunks") or ()]
    pairs = [(index, (support.get("segment") or {}).get("text", ""))
             for support in grounding.get("groundingSupports") or ()
             for index in support.get("groundingChunkIndices") or ()]
    used = {index for index, _ in pairs}
    pairs += [(index, "") for index in range(len(sources)) if index not in used]
    return [Citation(sources[index].get("title", ""), sources[index].get("uri", ""), segment)
            for index, segment in pairs if index < len(sources)]


Chunks = Generator[StreamChunk, None, "Fold"]


def _first(data: Dict[str, Any]) -> Dict[str, Any]:
    """The candidate with index 0 (an index that is absent is 0), ``{}`` if there is none."""
    for candidate in data.get("candidates") or ():
        if not candidate.get("index"):
            return candidate  # type: ignore[no-any-return]
    return {}


def check(response: GenerateContentResponse, streamed: bool = False) -> None:
    """Raise what stands in the way of calling this answer whole: a block, a broken call, a missing end."""
    reason = response.finish_reason or ""
    blocked = response.block_reason
    if blocked:
        raise BlockedError("The prompt was blocked (%s). Change the prompt; error.response.data says more." % blocked,
                           reason=blocked, response=response)
    if reason in _BLOCKING or reason.startswith("IMAGE_"):
        raise BlockedError("The answer was blocked (%s)%s. Change the prompt; error.response holds what there is."
                           % (reason, _told(response)), reason=reason, response=response)
    if reason in _MALFORMED:
        raise IncompleteError("The model asked for a call that cannot be run (%s)%s. Ask again, or simplify the tools."
                              % (reason, _told(response)), reason=reason, response=response, retryable=True)
    if streamed and not reason:
        raise IncompleteError("The stream ended without a finish reason: the answer is not whole. Ask again; "
                              "error.response holds what arrived.", reason="CUT", response=response, retryable=True)
    if not response.candidates:
        raise IncompleteError("The answer holds no candidate and no reason for it. Ask again.",
                              reason="NO_CANDIDATES", response=response, retryable=True)


def _told(response: GenerateContentResponse) -> str:
    message = _first(response.data).get("finishMessage")
    return ": %s" % message if message else ""


class Fold:
    """Folds the events of a stream, as they arrive, into the one answer that the unary call would have given.

    Neighbouring plain texts are joined, a part with a signature never is; of everything else the last word counts,
    but citations and log probabilities add up. Linear in the text; keeps the text and no event.
    """

    def __init__(self) -> None:
        self._data: Dict[str, Any] = {}
        self._candidates: Dict[int, _Candidate] = {}

    def add(self, event: Dict[str, Any]) -> None:
        """Take in one event, which stays as it is."""
        for key, value in event.items():
            if key != "candidates":
                self._data[key] = value
                continue
            for candidate in value or ():
                index = candidate.get("index") or 0
                known = self._candidates.get(index)
                if known is None:
                    known = self._candidates[index] = _Candidate()
                known.add(candidate)

    @property
    def finished(self) -> bool:
        """Whether candidate 0 has its finish reason."""
        first = self._candidates.get(0)
        return first is not None and "finishReason" in first.data

    def outline(self) -> GenerateContentResponse:
        """The answer so far without its contents: what `check` reads, at no cost."""
        return self._answer([candidate.data for _, candidate in sorted(self._candidates.items())])

    def response(self) -> GenerateContentResponse:
        """The answer so far."""
        return self._answer([candidate.whole() for _, candidate in sorted(self._candidates.items())])

    def _answer(self, candidates: List[Dict[str, Any]]) -> GenerateContentResponse:
        return GenerateContentResponse({**self._data, "candidates": candidates} if candidates else dict(self._data))


class _Candidate:
    __slots__ = ("data", "content", "parts", "run", "kind")

    def __init__(self) -> None:
        self.data: Dict[str, Any] = {}
        self.content: Dict[str, Any] = {}
        self.parts: List[Dict[str, Any]] = []
        self.run: List[str] = []  # the texts of the plain part that is still growing
        self.kind = 0  # what else that part has, by the number of its keys: 1 nothing, 2 "thought": True

    def add(self, candidate: Dict[str, Any]) -> None:
        for key, value in candidate.items():
            if key == "content":
                self._add_content(value)
            elif isinstance(value, dict):
                self.data[key] = _joined(self.data.get(key), value, key in ("citationMetadata", "logprobsResult"))
            else:
                self.data[key] = value

    def _add_content(self, content: Optional[Dict[str, Any]]) -> None:
        for key, value in (content or {}).items():
            if key != "parts":
                self.content[key] = value
                continue
            for part in value or ():
                size = len(part)
                if "text" in part and (size == 1 or size == 2 and part.get("thought") is True):
                    if size != self.kind:
                        self._end_run()
                        self.kind = size
                    self.run.append(part["text"])
                else:
                    self._end_run()
                    self.parts.append(part)

    def _end_run(self) -> None:
        if self.run:
            text = "".join(self.run)
            self.parts.append({"text": text} if self.kind == 1 else {"text": text, "thought": True})
            self.run = []
        self.kind = 0

    def whole(self) -> Dict[str, Any]:
        self._end_run()
        data = dict(self.data)
        if self.content or self.parts:
            data["content"] = {**self.content, "parts": list(self.parts)} if self.parts else dict(self.content)
        return data


def _joined(old: Any, new: Dict[str, Any], lists: bool) -> Dict[str, Any]:
    """`new` laid over `old` key by key; `lists` are put one after the other."""
    if not isinstance(old, dict):
        return new
    both = {**old, **new}
    if lists:
        for key, value in new.items():
            if isinstance(value, list) and isinstance(old.get(key), list):
                both[key] = old[key] + value
    return both


def chunks(events: Generator[Dict[str, Any], None, None], fold: Fold) -> Chunks:
    """Yield a chunk for each event and fold it; return the fold of a whole answer, checked."""
    try:
        for event in events:
            fold.add(event)
            yield StreamChunk(event)
        check(fold.outline(), streamed=True)
        return fold
    except GeminiError as error:
        error.response = fold.response()
        raise
    finally:
        events.close()


class Stream:
    """An answer as it comes: iterate for `StreamChunk`s; `response` is the whole of it.

    The request was sent when this was made. What fails later is raised while iterating, and again by `response`.
    ``with`` or `close` ends it early; left alone it closes by itself. It belongs to one thread at a time.
    """

    def __init__(self, source: Chunks, guard: Any = None) -> None:
        self._source = source
        self._guard = guard  # a context manager to be inside of while the source runs
        self._fold: Optional[Fold] = None  # of the whole answer, once it is there
        self._response: Optional[GenerateContentResponse] = None
        self._error: Optional[Exception] = None  # what every later use raises

    def __iter__(self) -> "Stream":
        return self

    def __next__(self) -> StreamChunk:
        if self._guard is None:
            return self._next()
        with self._guard:
            return self._next()

    def _next(self) -> StreamChunk:
        if self._error is not None:
            raise self._error
        try:
            return next(self._source)
        except StopIteration as stop:
            self._fold = stop.value or self._fold  # None: it had ended before
            raise
        except GeminiError as error:
            self._error = error
            raise

    @property
    def response(self) -> GenerateContentResponse:
        """The whole answer; reads what has not been read yet."""
        for _ in self:
            pass
        if self._fold is None:
            raise IncompleteError("This stream was closed before its end: read it to the end for the whole answer.",
                                  reason="CLOSED")
        if self._response is None:
            self._response = self._fold.response()
        return self._response

    def close(self) -> None:
        """End the answer here and close its connection; what was read stays as it is."""
        with self._guard or contextlib.nullcontext():
            self._source.close()

    def discard(self, error: Exception) -> None:
        """Close, and let later reads raise `error`."""
        self._source.close()
        self._error = self._error or error

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError, ValueError):  # half made; or running in another thread, which ends it
            self._source.close()

    def __reduce__(self) -> str:
        raise TypeError("a stream is a live connection and cannot be pickled: pickle stream.response")
