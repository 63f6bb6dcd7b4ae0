"""Names to read an answer by; the dict underneath stays as it came."""
from __future__ import annotations

import contextlib
import json
from typing import Any, Dict, Generator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from . import media, schema
from .errors import BlockedError, GeminiError, IncompleteError, ParseError
from .tools import FunctionCall, FunctionResult

_BLOCKING = frozenset(("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"))
_MALFORMED = frozenset(("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL"))


class UsageMetadata:
    """Token counts by the API's names in snake_case; a number that the API did not send is None."""

    __slots__ = ("data",)

    def __init__(self, data: Dict[str, Any]) -> None:
        self.data = data

    @property
    def prompt_token_count(self) -> Optional[int]:
        return _count(self.data.get("promptTokenCount"))

    @property
    def cached_content_token_count(self) -> Optional[int]:
        """The part of the prompt that came from a cache."""
        return _count(self.data.get("cachedContentTokenCount"))

    @property
    def candidates_token_count(self) -> Optional[int]:
        """The answer, without the thoughts."""
        return _count(self.data.get("candidatesTokenCount"))

    @property
    def thoughts_token_count(self) -> Optional[int]:
        return _count(self.data.get("thoughtsTokenCount"))

    @property
    def tool_use_prompt_token_count(self) -> Optional[int]:
        return _count(self.data.get("toolUsePromptTokenCount"))

    @property
    def total_token_count(self) -> Optional[int]:
        return _count(self.data.get("totalTokenCount"))

    def __repr__(self) -> str:
        return "UsageMetadata(%r)" % (self.data,)


Reading = Tuple[Any, Mapping[str, str]]  # the response_schema, and the user's names of tools by those on the wire


class Citation(NamedTuple):
    """A source: `segment` is the piece of the answer it stands for, ``""`` where Google names none."""

    title: str
    uri: str
    segment: str


class GenerateContentResponse:
    """A view on one answer; `data` is the dict as it came. What is absent reads as ``""``, ``[]`` or None.

    Of several candidates, the one with index 0 is read. Source: https://ai.google.dev/api/generate-content
    """

    __slots__ = ("data", "earlier", "_reading")

    def __init__(
        self, data: Dict[str, Any], reading: "Reading" = (None, {}),
        earlier: Sequence["GenerateContentResponse"] = (),
    ) -> None:
        self.data = data
        self.earlier = earlier
        self._reading = reading

    @property
    def rounds(self) -> List["GenerateContentResponse"]:
        """All answers of a send that called tools, in order; this one is the last."""
        return [*self.earlier, self]

    @property
    def candidates(self) -> List[Dict[str, Any]]:
        return _dicts(_dict(self.data).get("candidates"))

    @property
    def content(self) -> Dict[str, Any]:
        """The content dict of the answer, ``{}`` if there is none."""
        return _dict(_first(self.data).get("content"))

    @property
    def parts(self) -> List[Dict[str, Any]]:
        return _dicts(self.content.get("parts"))

    @property
    def text(self) -> str:
        """The answer's text, without the thoughts."""
        return "".join([part["text"] for part in self.parts if _is_text(part) and not part.get("thought")])

    @property
    def thinking(self) -> str:
        """The text of the thoughts."""
        return "".join([part["text"] for part in self.parts if _is_text(part) and part.get("thought")])

    @property
    def function_calls(self) -> List[FunctionCall]:
        names = self._reading[1]
        found = [_dict(part.get("functionCall")) for part in self.parts]
        named = [(_text(call.get("name")) or "", call) for call in found if call]
        return [FunctionCall(names.get(name, name), _dict(call.get("args")), _text(call.get("id")))
                for name, call in named]

    @property
    def parsed(self) -> Any:
        """The answer's JSON as the type that ``response_schema`` named; without one, or with a dict, as plain JSON.

        ParseError, with the text and the reason, if it does not fit; `text` works all the same.
        """
        text, hint = self.text, self._reading[0]
        try:
            value = json.loads(text)
            return value if hint is None else schema.from_json(value, hint)
        except (ValueError, ParseError) as error:
            cut = " (the answer was cut: %s)" % self.finish_reason if self.finish_reason not in (None, "STOP") else ""
            reason = "NOT_JSON" if isinstance(error, ValueError) else "MISMATCH"
            raise ParseError("The answer does not fit its schema%s: %s. The answer: %.500s" % (cut, error, text),
                             reason=reason, response=self) from None

    @property
    def files(self) -> List[media.Blob]:
        """The files in the answer: pictures, sound and others, each with ``mime_type``, ``data`` and ``save(path)``."""
        found = [media.blob(_dict(part.get("inlineData"))) for part in self.parts]
        return [file for file in found if file is not None]

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
        found = [_dict(part.get("executableCode") or part.get("codeExecutionResult")) for part in self.parts]
        return [item for item in found if item]

    @property
    def citations(self) -> List[Citation]:
        """The sources that grounding gives for pieces of the text; one for each piece and source."""
        return _citations(_dict(_first(self.data).get("groundingMetadata")))

    @property
    def finish_reason(self) -> Optional[str]:
        return _text(_first(self.data).get("finishReason"))

    @property
    def block_reason(self) -> Optional[str]:
        """Why the prompt was blocked, if it was."""
        return _text(_dict(_dict(self.data).get("promptFeedback")).get("blockReason"))

    @property
    def usage_metadata(self) -> UsageMetadata:
        return UsageMetadata(_dict(_dict(self.data).get("usageMetadata")))

    @property
    def model_version(self) -> Optional[str]:
        return _text(_dict(self.data).get("modelVersion"))

    @property
    def response_id(self) -> Optional[str]:
        return _text(_dict(self.data).get("responseId"))

    def __str__(self) -> str:
        return self.text

    def _repr_markdown_(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return "%s(%r)" % (type(self).__name__, self.data)


class StreamChunk(GenerateContentResponse):
    """The view on one event of a stream; what it reads is what this event brought.

    `tool_results` is None but on the chunk, without an event of its own, that comes when the tools of a turn have run:
    there it has their results.
    """

    __slots__ = ("tool_results",)

    def __init__(
        self, data: Dict[str, Any], reading: "Reading" = (None, {}),
        tool_results: Optional[List[FunctionResult]] = None,
    ) -> None:
        self.data = data
        self.earlier = ()
        self._reading = reading
        self.tool_results = tool_results

    text_delta = GenerateContentResponse.text
    thinking_delta = GenerateContentResponse.thinking

    @property
    def response(self) -> GenerateContentResponse:
        """The event as a response."""
        return GenerateContentResponse(self.data, self._reading)


def _citations(grounding: Dict[str, Any]) -> List[Citation]:
    chunks = _dicts(grounding.get("groundingChunks"))
    sources = [_dict(chunk.get("web") or chunk.get("retrievedContext") or chunk.get("maps")) for chunk in chunks]
    pairs: List[Tuple[int, str]] = []
    for support in _dicts(grounding.get("groundingSupports")):
        indices, segment = support.get("groundingChunkIndices"), _dict(support.get("segment"))
        known = [index for index in indices if index in range(len(sources))] if isinstance(indices, list) else []
        pairs += [(index, _text(segment.get("text")) or "") for index in known]
    used = {index for index, _ in pairs}
    pairs += [(index, "") for index in range(len(sources)) if index not in used]
    return [Citation(_text(sources[index].get("title")) or "", _text(sources[index].get("uri")) or "", segment)
            for index, segment in pairs]


def _dict(value: Any) -> Dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _dicts(value: Any) -> List[Dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _text(value: Any) -> Optional[str]:
    return value if isinstance(value, str) else None


def _count(value: Any) -> Optional[int]:
    return value if type(value) is int else None


def _is_text(part: Dict[str, Any]) -> bool:
    return isinstance(part.get("text"), str)


Chunks = Generator[StreamChunk, None, None]


def _first(data: Dict[str, Any]) -> Dict[str, Any]:
    """The candidate with index 0 (an index that is absent is 0), ``{}`` if there is none."""
    for candidate in _dicts(_dict(data).get("candidates")):
        if not candidate.get("index"):
            return candidate
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
    but citations and log probabilities add up. Linear in the text; keeps the text and no event. `complete` is set
    once the answer is known to be whole.
    """

    def __init__(self, reading: Reading = (None, {})) -> None:
        self.reading = reading
        self.complete = False
        self._earlier: List[GenerateContentResponse] = []
        self._data: Dict[str, Any] = {}
        self._candidates: Dict[int, _Candidate] = {}

    def next_round(self) -> None:
        """Put this answer to the earlier ones, and begin another."""
        self._earlier.append(self.response())
        self._data, self._candidates, self.complete = {}, {}, False

    def add(self, event: Dict[str, Any]) -> None:
        """Take in one event, which stays as it is."""
        for key, value in event.items():
            if key != "candidates":
                self._data[key] = value
                continue
            for candidate in _dicts(value):
                index = _count(candidate.get("index")) or 0
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
        data = {**self._data, "candidates": candidates} if candidates else dict(self._data)
        return GenerateContentResponse(data, self.reading, self._earlier)


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
                self._add_content(_dict(value))
            elif isinstance(value, dict):
                mine = self.data[key] = self.data[key] if isinstance(self.data.get(key), dict) else {}
                _lay_over(mine, value, key in ("citationMetadata", "logprobsResult"))
            else:
                self.data[key] = value

    def _add_content(self, content: Dict[str, Any]) -> None:
        for key, value in content.items():
            if key != "parts":
                self.content[key] = value
                continue
            for part in _dicts(value):
                size = len(part)
                if _is_text(part) and (size == 1 or size == 2 and part.get("thought") is True):
                    if size != self.kind:
                        self._end_run()
                        self.kind = size
                    self.run.append(part["text"])
                else:
                    self._end_run()
                    self.parts.append(part)

    def _end_run(self) -> None:
        self.parts += self._grown()
        self.run = []
        self.kind = 0

    def _grown(self) -> List[Dict[str, Any]]:
        """The plain part that is still growing, if there is one."""
        if not self.run:
            return []
        text = "".join(self.run)
        return [{"text": text} if self.kind == 1 else {"text": text, "thought": True}]

    def whole(self) -> Dict[str, Any]:
        parts = self.parts + self._grown()
        if parts:
            return {**self.data, "content": {**self.content, "parts": parts}}
        return {**self.data, "content": dict(self.content)} if self.content else dict(self.data)


def _lay_over(mine: Dict[str, Any], new: Dict[str, Any], lists: bool) -> None:
    """Put `new` over `mine` key by key; `lists` are put one after the other."""
    for key, value in new.items():
        if lists and isinstance(value, list):
            known = mine.get(key)
            mine[key] = known if isinstance(known, list) else []
            mine[key] += value
        else:
            mine[key] = value


def chunks(events: Generator[Dict[str, Any], None, None], fold: Fold) -> Chunks:
    """Yield a chunk for each event and fold it; at the end, the answer is checked and complete."""
    reading = fold.reading
    try:
        for event in events:
            fold.add(event)
            yield StreamChunk(event, reading)
        check(fold.outline(), streamed=True)
        fold.complete = True
    except GeneratorExit:
        if fold.finished:  # nothing is missing but the end of the body
            with contextlib.suppress(GeminiError):
                check(fold.outline(), streamed=True)
                fold.complete = True
        raise
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

    def __init__(self, source: Chunks, fold: Fold, guard: Any = None) -> None:
        self._source = source
        self._fold = fold
        self._guard = guard  # a context manager to be inside of while the source runs
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
        except GeminiError as error:
            self._error = error
            raise

    @property
    def response(self) -> GenerateContentResponse:
        """The whole answer; reads what has not been read yet."""
        for _ in self:
            pass
        if not self._fold.complete:
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
        """Close, and if the answer is not whole, let later reads raise `error`."""
        self._source.close()
        if not self._fold.complete:
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
