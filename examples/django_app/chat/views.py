"""A chat for the browser: Django, and Gemini's answers as server-sent events. How to run it is in ../../README.rst."""
from __future__ import annotations

import functools
import itertools
import json
import logging
import secrets
from importlib import import_module
from typing import Any, Dict, Iterator, List

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from gemini_lite import BlockedError, Chat, GeminiClient, GeminiError, Stream

MAX_QUESTION = 8000     # characters
MAX_HISTORY = 400_000   # characters of JSON

log = logging.getLogger(__name__)
SessionStore = import_module(settings.SESSION_ENGINE).SessionStore


@functools.lru_cache(maxsize=None)
def client() -> GeminiClient:
    """One client for the process and all its threads; gunicorn --preload makes it before it forks.

    WSGI tells us that a browser has left when we write the next event. These limits say how long a silent Gemini can
    hold a worker until then.
    """
    return GeminiClient(timeout=(5, 60), deadline=120, retries=2, max_wait=5)


class Conflict(Exception):
    """The conversation has been changed since its version was read."""


def change(key: str, version: str, **values: Any) -> str:
    """Write `values` into the session and return its new version; `Conflict` if `version` is no longer the newest.

    ``request.session`` is not used for it: Django would write all of it back as it was read when the request came.
    """
    new = secrets.token_urlsafe(16)
    with transaction.atomic():
        # Locks the row. SQLite has no such lock: there, the transaction is alone from its beginning (see settings).
        SessionStore.get_model_class().objects.select_for_update().filter(pk=key).first()
        session = SessionStore(key)
        if session.get("version") != version:
            raise Conflict
        session.update({**values, "version": new})
        session.save()
    return new


@require_safe
@never_cache
def page(request: HttpRequest) -> HttpResponse:
    """The page, whose Content-Security-Policy lets nothing run but its own scripts, which know this page's nonce."""
    nonce = secrets.token_urlsafe(16)
    response = render(request, "chat.html", {"nonce": nonce})
    response["Content-Security-Policy"] = (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
    return response


@never_cache
@require_safe
def conversation(request: HttpRequest) -> HttpResponse:
    """What the page shows: the turns so far, and the question that was cut off, if there is one."""
    session = request.session
    if "version" not in session:
        session.update({"version": secrets.token_urlsafe(16), "history": [], "pending": None})
    return JsonResponse({"version": session["version"], "turns": shown(session["history"]),
                         "pending": session["pending"]})


@require_POST
def ask(request: HttpRequest) -> HttpResponseBase:
    """Stream the answer to a question; the `version` says which state of the conversation the user has seen.

    A version that is not the newest is refused, so a second tab, or the same request sent twice, cannot overwrite
    anything.
    """
    asked = fields(request)
    question, version, key = asked.get("question"), asked.get("version"), request.session.session_key
    if not isinstance(question, str) or not question.strip() or len(question) > MAX_QUESTION:
        return refused(400, "A question has 1 to %d characters." % MAX_QUESTION)
    if not isinstance(version, str) or key is None:
        return refused(400, "Load the page first, and allow its cookies.")
    history = request.session.get("history", [])
    if len(json.dumps(history)) > MAX_HISTORY:
        return refused(409, "This conversation is full: begin a new one.")
    question = question.encode("utf-8", "replace").decode()  # no half of a surrogate pair
    try:
        version = change(key, version, pending=question)  # from here on, the question is not lost
    except Conflict:
        return refused(409, "This conversation went on elsewhere: here is its newest state.")
    chat = client().chat(history)
    try:
        stream = chat.send_message_stream(question)
        texts = begun(stream)
    except GeminiError as error:
        return refused(502, sentence(error))
    return StreamingHttpResponse(events(key, version, chat, stream, texts), content_type="text/event-stream", headers={
        "Cache-Control": "no-store",
        "X-Accel-Buffering": "no",  # nginx would gather the events
    })


@require_POST
def new(request: HttpRequest) -> HttpResponse:
    """Forget the conversation."""
    try:
        change(request.session.session_key or "", str(fields(request).get("version")), history=[], pending=None)
    except Conflict:
        return refused(409, "This conversation went on elsewhere: here is its newest state.")
    return HttpResponse(status=204)


def begun(stream: Stream) -> Iterator[str]:
    """The texts of a stream. The first has arrived when this returns: until then a failure can be a 502."""
    texts = (chunk.text_delta for chunk in stream if chunk.text_delta)
    first = next(texts, None)
    if first is None:
        raise GeminiError("the answer has no text")
    return itertools.chain([first], texts)


def events(key: str, version: str, chat: Chat, stream: Stream, texts: Iterator[str]) -> Iterator[str]:
    """The answer as server-sent events; the conversation is written after its last text."""
    connection.close()  # the database has no need to wait for the model; Django connects again by itself
    with stream:  # when the browser has left, the server closes this generator, and that closes the call to Gemini
        try:
            for text in texts:
                yield event("message", text)
            yield event("done", change(key, version, history=chat.history, pending=None))
        except GeminiError as error:
            yield event("error", sentence(error))
        except Conflict:
            yield event("error", "This conversation went on elsewhere, so this answer was not kept.")
        except DatabaseError:
            log.exception("an answer could not be kept")
            yield event("error", "The answer could not be kept: ask again.")


def event(kind: str, data: Any) -> str:
    return "event: %s\ndata: %s\n\n" % (kind, json.dumps(data))  # JSON, because a text may have several lines


def sentence(error: GeminiError) -> str:
    """What the user is told; the rest is for the log."""
    log.warning("%s: %s", type(error).__name__, error)
    if isinstance(error, BlockedError):
        return "Gemini declined to answer this: ask in other words."
    if error.retryable:
        return "Gemini is busy or out of reach: ask again in a moment."
    return "Gemini could not answer this."


def refused(status: int, why: str) -> HttpResponse:
    return HttpResponse(why, status=status, content_type="text/plain; charset=utf-8")


def fields(request: HttpRequest) -> Dict[str, Any]:
    """The JSON object that was posted, or an empty one."""
    try:
        sent = json.loads(request.body)
    except ValueError:
        return {}
    return sent if isinstance(sent, dict) else {}


def shown(history: List[Dict[str, Any]]) -> List[Dict[str, str]]:
    return [{"role": turn["role"],
             "text": "".join(part.get("text", "") for part in turn["parts"] if not part.get("thought"))}
            for turn in history]
