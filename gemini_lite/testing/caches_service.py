"""Explicit caching for `FakeGemini`: caches that are counted, found too small, and expire."""
from __future__ import annotations

import datetime
import itertools
import re
import threading
from collections import deque
from typing import Callable, Deque, Dict, Optional

from ..json_data import JSON
from .replies import Answer, Error, json_answer, token_count
from .request import Request
from .service_answers import now, page, time_text
from .strict import bad_cache

_PATH = re.compile(r"/[^/]+/(?:projects/[^/]+/locations/[^/]+/)?cachedContents(?:/([^/:]+))?")
_DURATION = re.compile(r"(\d+(?:\.\d{1,9})?)s")


class CachesService:
    """Answers cachedContents; append it to ``FakeGemini.services``.

    `minimum` is the least number of tokens. `lose` scripts answers that stand in for true ones of the next creations,
    which happen all the same. `caches` has what there is, by name, with its contents under ``"contents"``. With
    `checks_prompts` a prompt over a cache that is not there, or that says what the cache has, is refused as the API
    does it.
    """

    def __init__(self, *, minimum: int = 1, checks_prompts: bool = True,
                 now: Callable[[], datetime.datetime] = now) -> None:
        self.minimum, self.checks_prompts = minimum, checks_prompts
        self.caches: Dict[str, JSON] = {}
        self._now = now
        self._losses: Deque[Answer] = deque()
        self._numbers = itertools.count(1)
        self._lock = threading.RLock()

    def lose(self, *answers: Answer) -> None:
        """Script what the next creations are answered with."""
        self._losses.extend(answers)

    def __call__(self, request: Request) -> Optional[Answer]:
        """The answer to a request for caches, or to a prompt over one that it may not have; None for any other."""
        with self._lock:
            self._expire()
            path = _PATH.fullmatch(request.bare_path)
            if path is None:
                return self._refused_prompt(request) if self.checks_prompts else None
            if path.group(1):
                return self._one(request, f"cachedContents/{path.group(1)}")
            if request.method == "GET":
                return page(request, "cachedContents", [_without_contents(cache) for cache in self.caches.values()])
            if request.method != "POST":
                return None
            answer = self._create(request)
            return self._losses.popleft() if self._losses else answer

    def _create(self, request: Request) -> Answer:
        body = request.json
        tokens = token_count([body.get("contents"), body.get("systemInstruction"), body.get("tools")])
        if not body.get("model"):
            return Error(400, "* CreateCachedContentRequest.model: model is required")
        if tokens < self.minimum:
            return Error(400, f"Cached content is too small. total_token_count={tokens}, "
                              f"min_total_token_count={self.minimum}")
        expiry = self._expiry(body)
        if expiry is None:
            return Error(400, "Invalid expiration")
        name, now = f"cachedContents/fake{next(self._numbers)}", time_text(self._now())
        self.caches[name] = {
            **body, "name": name, "createTime": now, "updateTime": now, "expireTime": expiry,
            "usageMetadata": {"totalTokenCount": tokens}}
        return self._shown(name)

    def _one(self, request: Request, name: str) -> Optional[Answer]:
        cache = self.caches.get(name)
        if cache is None:
            return Error(403, "CachedContent not found (or permission denied)")
        if request.method == "DELETE":
            del self.caches[name]
            return json_answer({})
        if request.method == "PATCH":
            expiry = self._expiry(request.json)
            if expiry is None:
                return Error(400, "Invalid expiration")
            cache.update(expireTime=expiry, updateTime=time_text(self._now()))
        return self._shown(name)

    def _shown(self, name: str) -> Answer:
        return json_answer(_without_contents(self.caches[name]))

    def _expiry(self, body: JSON) -> Optional[str]:
        if "expireTime" in body:
            return str(body["expireTime"]).replace("+00:00", "Z")
        seconds = _DURATION.fullmatch(str(body.get("ttl", "3600s")))
        return time_text(self._now() + datetime.timedelta(seconds=float(seconds.group(1)))) if seconds else None

    def _expire(self) -> None:
        now = time_text(self._now())
        for name in [name for name, cache in self.caches.items() if cache["expireTime"] < now]:
            del self.caches[name]

    def _refused_prompt(self, request: Request) -> Optional[Answer]:
        name = request.prompt.get("cachedContent") if request.kind == "generate" else None
        if name is None:
            return None
        if name not in self.caches:
            return Error(403, "CachedContent not found (or permission denied)")
        refused = bad_cache(request)
        if refused is not None:
            return refused
        model = str(self.caches[name]["model"]).rpartition("/")[2]
        return None if model == request.model else Error(400, f"Model used by GenerateContent request ({request.model}"
                                                              f") and CachedContent ({model}) has to be the same.")


def _without_contents(cache: JSON) -> JSON:
    return {name: value for name, value in cache.items()
            if name not in ("contents", "systemInstruction", "tools", "toolConfig", "ttl")}
