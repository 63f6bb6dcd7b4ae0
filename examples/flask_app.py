"""A chat for the browser: Flask, and Gemini's answers as server-sent events. How to run it is in README.rst."""
from __future__ import annotations

import contextlib
import itertools
import json
import os
import secrets
import sqlite3
import time
from typing import Any, Dict, Iterator, List, NamedTuple, Optional

from flask import Flask, Response, jsonify, render_template, request, session

from gemini_lite import BlockedError, Chat, GeminiClient, GeminiError, Stream

MAX_QUESTION = 8000     # characters
MAX_HISTORY = 400_000   # characters of JSON
MAX_AGE = 31 * 86400    # seconds that an idle conversation is kept

# One client for the process and all its threads; gunicorn --preload may make it before it forks. WSGI tells us that a
# browser has left when we write the next event. These limits say how long a silent Gemini can hold a worker until then.
client = GeminiClient(timeout=(5, 60), deadline=120, retries=2, max_wait=5)
app = Flask(__name__, instance_path=os.environ.get("CHAT_DATA"))


# The conversations. They are in a database and not in the session's cookie, because cookies go out before the answer.

class Conversation(NamedTuple):
    version: str             # random, a new one with every change
    history: str             # JSON of chat.history: whole turns only
    pending: Optional[str]   # the question that has no answer yet


class Conflict(Exception):
    """The conversation has been changed since its version was read."""


@contextlib.contextmanager
def database() -> Iterator[sqlite3.Connection]:
    """A transaction: it is written as a whole or not at all."""
    path = os.path.join(app.instance_path, "chat.sqlite3")
    with contextlib.closing(sqlite3.connect(path, timeout=10)) as connection, connection:
        yield connection


def conversation_of(user: str) -> Conversation:
    with database() as db:
        db.execute("INSERT OR IGNORE INTO conversations VALUES (?, ?, '[]', NULL, ?)",
                   (user, secrets.token_urlsafe(16), time.time()))
        return Conversation(*db.execute("SELECT version, history, pending FROM conversations WHERE user = ?", (user,))
                            .fetchone())


def change(user: str, version: str, history: str, pending: Optional[str]) -> str:
    """Write the conversation and return its new version; `Conflict` if `version` is no longer the newest."""
    new = secrets.token_urlsafe(16)
    with database() as db:
        done = db.execute("UPDATE conversations SET version = ?, history = ?, pending = ?, changed = ?"
                          " WHERE user = ? AND version = ?", (new, history, pending, time.time(), user, version))
    if not done.rowcount:
        raise Conflict
    return new


def set_up() -> None:
    os.makedirs(app.instance_path, mode=0o700, exist_ok=True)
    with database() as db:
        db.execute("CREATE TABLE IF NOT EXISTS conversations (user TEXT PRIMARY KEY, version TEXT NOT NULL,"
                   " history TEXT NOT NULL, pending TEXT, changed REAL NOT NULL)")
        db.execute("DELETE FROM conversations WHERE changed < ?", (time.time() - MAX_AGE,))
        # Where the environment has no key, one is made once and kept, so that all workers sign with the same.
        db.execute("CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
        db.execute("INSERT OR IGNORE INTO settings VALUES ('secret_key', ?)", (secrets.token_hex(32),))
        kept = db.execute("SELECT value FROM settings WHERE name = 'secret_key'").fetchone()[0]
    app.config.update(
        SECRET_KEY=os.environ.get("SECRET_KEY") or kept, PERMANENT_SESSION_LIFETIME=MAX_AGE,
        SESSION_COOKIE_SAMESITE="Lax", SESSION_COOKIE_SECURE=os.environ.get("COOKIE_SECURE") == "1",  # set it for HTTPS
        MAX_CONTENT_LENGTH=100_000,
    )


set_up()


# The views

@app.get("/")
def page() -> Response:
    """The page, whose Content-Security-Policy lets nothing run but its own scripts, which know this page's nonce."""
    nonce = secrets.token_urlsafe(16)
    return Response(render_template("chat.html", nonce=nonce), headers={
        "Cache-Control": "no-store",
        "Content-Security-Policy": f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; "
                                   "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
                                   "frame-ancestors 'none'",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    })


@app.get("/conversation")
def conversation() -> Response:
    """What the page shows: the turns so far, and the question that was cut off, if there is one."""
    session.permanent = True
    user = session.setdefault("user", secrets.token_urlsafe(16))
    known = conversation_of(user)
    answer = jsonify(version=known.version, turns=shown(json.loads(known.history)), pending=known.pending)
    answer.headers["Cache-Control"] = "no-store"
    return answer


@app.post("/ask")
def ask() -> Response:
    """Stream the answer to a question; the `version` says which state of the conversation the user has seen.

    A version that is not the newest is refused, so a second tab, or the same request sent twice, cannot overwrite
    anything. And it is secret, so that a page of another site cannot ask in the user's name (CSRF).
    """
    asked = request.get_json()
    question, version = (asked.get(name) for name in ("question", "version")) if isinstance(asked, dict) else ("", "")
    user = session.get("user")
    if not isinstance(question, str) or not question.strip() or len(question) > MAX_QUESTION:
        return refused(400, "A question has 1 to %d characters." % MAX_QUESTION)
    if not isinstance(version, str) or user is None:
        return refused(400, "Load the page first, and allow its cookie.")
    history = conversation_of(user).history
    if len(history) > MAX_HISTORY:
        return refused(409, "This conversation is full: begin a new one.")
    question = question.encode("utf-8", "replace").decode()  # no half of a surrogate pair
    try:
        version = change(user, version, history, question)  # from here on, the question is not lost
    except Conflict:
        return refused(409, "This conversation went on elsewhere: here is its newest state.")
    chat = client.chat(json.loads(history))
    try:
        stream = chat.send_message_stream(question)
        texts = begun(stream)
    except GeminiError as error:
        return refused(502, sentence(error))
    return Response(events(user, version, chat, stream, texts), mimetype="text/event-stream", headers={
        "Cache-Control": "no-store",
        "X-Accel-Buffering": "no",  # nginx would gather the events
    })


@app.post("/new")
def new() -> Response:
    """Forget the conversation."""
    asked = request.get_json()
    try:
        change(session.get("user", ""), str(asked.get("version")) if isinstance(asked, dict) else "", "[]", None)
    except Conflict:
        return refused(409, "This conversation went on elsewhere: here is its newest state.")
    return Response(status=204)


# The answer

def begun(stream: Stream) -> Iterator[str]:
    """The texts of a stream. The first has arrived when this returns: until then a failure can be a 502."""
    texts = (chunk.text_delta for chunk in stream if chunk.text_delta)
    first = next(texts, None)
    if first is None:
        raise GeminiError("the answer has no text")
    return itertools.chain([first], texts)


def events(user: str, version: str, chat: Chat, stream: Stream, texts: Iterator[str]) -> Iterator[str]:
    """The answer as server-sent events; the conversation is written after its last text.

    It needs no `stream_with_context`: it looks neither at the request nor at the session, whose cookie is out already.
    """
    with stream:  # when the browser has left, the server closes this generator, and that closes the call to Gemini
        try:
            for text in texts:
                yield event("message", text)
            yield event("done", change(user, version, json.dumps(chat.history), None))
        except GeminiError as error:
            yield event("error", sentence(error))
        except Conflict:
            yield event("error", "This conversation went on elsewhere, so this answer was not kept.")
        except sqlite3.Error:
            app.logger.exception("an answer could not be kept")
            yield event("error", "The answer could not be kept: ask again.")


def event(kind: str, data: Any) -> str:
    return "event: %s\ndata: %s\n\n" % (kind, json.dumps(data))  # JSON, because a text may have several lines


def sentence(error: GeminiError) -> str:
    """What the user is told; the rest is for the log."""
    app.logger.warning("%s: %s", type(error).__name__, error)
    if isinstance(error, BlockedError):
        return "Gemini declined to answer this: ask in other words."
    if error.retryable:
        return "Gemini is busy or out of reach: ask again in a moment."
    return "Gemini could not answer this."


def refused(status: int, why: str) -> Response:
    return Response(why, status, mimetype="text/plain")


def shown(history: List[Dict[str, Any]]) -> List[Dict[str, str]]:
    return [{"role": turn["role"],
             "text": "".join(part.get("text", "") for part in turn["parts"] if not part.get("thought"))}
            for turn in history]
