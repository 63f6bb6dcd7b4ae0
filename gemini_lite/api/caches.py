"""Explicit context caching: what many prompts begin with, kept and counted once."""
from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Iterator, Optional, Union
from urllib.parse import quote

from .. import contents
from ..contents import Prompt
from ..json_data import JSON, dict_or_empty, str_or_none
from ..options import GeminiOptions
from ..transport.deadline import NEVER, Deadline
from ..transport.pages import pages
from .creation import UncertainError, create_once
from .places import collection_path, model_name
from .resources import Resource, parse_count, parse_time, resource_name
from .sending import Sender

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..options.overrides import CacheOverrides

Seconds = Union[float, datetime.timedelta]
Moment = Union[datetime.datetime, str]

_ADVICE = "caches belong to the Gemini Developer API and Vertex AI"
_CACHED = ("model", "system_prompt", "tools", "tool_choice", "tool_config", "extra")  # the options that a cache has
_CLOCK_ERROR = datetime.timedelta(minutes=10)  # between the server's clock and ours


class Cache(Resource):
    """Contents that the API keeps; ``cached_content=cache`` puts them before a prompt."""

    collection = "cachedContents"
    shown = ("name", "display_name", "model", "token_count", "create_time", "expire_time")

    @property
    def model(self) -> Optional[str]:
        """The model it is bound to, such as ``models/gemini-2.5-flash``."""
        return str_or_none(self.data.get("model"))

    @property
    def expire_time(self) -> Optional[datetime.datetime]:
        """When the API deletes it."""
        return parse_time(self.data.get("expireTime"))

    @property
    def usage_metadata(self) -> JSON:
        """What it holds, counted: ``totalTokenCount`` and, on Vertex AI, more."""
        return dict_or_empty(self.data.get("usageMetadata"))

    @property
    def token_count(self) -> Optional[int]:
        """How many tokens it holds, which every prompt over it counts as ``cached_content_token_count``."""
        return parse_count(self.usage_metadata.get("totalTokenCount"))


CacheOrName = Union[Cache, str]


class Caches:
    """``client.caches``: contents that the API keeps for prompts to begin with."""

    def __init__(self, sender: Sender, options: GeminiOptions) -> None:
        self._sender, self._options = sender, options

    def create(
        self, prompt: Prompt, *, ttl: Optional[Seconds] = None, expire_time: Optional[Moment] = None,
        display_name: Optional[str] = None, **overrides: Unpack[CacheOverrides],
    ) -> Cache:
        """Keep `prompt`, with the system prompt and the tools of the options, for one model.

        It is kept, and billed, for `ttl` seconds or until `expire_time` (an aware datetime); for an hour without
        either. `overrides` are ``model``, ``system_prompt``, ``tools``, ``tool_choice`` and ``tool_config``. A lost
        answer is looked for by `display_name`; without one this is never sent a second time if it may have worked.
        """
        other = [name for name in overrides if name not in _CACHED]
        if other:
            raise TypeError(f"a cache has no {other[0]}: give it with the prompts over the cache; a cache takes "
                            f"{', '.join(_CACHED)}")
        options = self._options.replace(cached_content=None).replace(**overrides)
        kept = GeminiOptions(**{name: getattr(options, name) for name in _CACHED})
        path = self._path()
        body = {**contents.build_request(contents.from_prompt(prompt), kept),
                "model": model_name(self._sender, self._sender.route.model(options)), **_expiry(ttl, expire_time)}
        if display_name is not None:
            body["displayName"] = display_name
        started = datetime.datetime.now(datetime.timezone.utc)
        once = self._sender.settings()._replace(retries=0)
        return Cache(create_once(
            self._sender, lambda: self._sender.route.send(path, body, settings=once),
            lambda: self._find(body, started, once.deadline), once.deadline))

    def get(self, cache: CacheOrName) -> Cache:
        """The cache as it is now; its contents are never given back."""
        return Cache(self._sender.get(self._path_of(cache)))

    def list(self, *, page_size: Optional[int] = None) -> Iterator[Cache]:
        """All caches of the project, each page fetched when it is needed; `page_size` at most 1000."""
        return self._list(page_size, NEVER)

    def update(
        self, cache: CacheOrName, *, ttl: Optional[Seconds] = None, expire_time: Optional[Moment] = None,
    ) -> Cache:
        """Keep it for `ttl` seconds from now, or until `expire_time`; nothing else of a cache can change."""
        if (ttl is None) == (expire_time is None):
            raise ValueError("give ttl or expire_time: nothing else of a cache can change")
        return Cache(self._sender.send(self._path_of(cache), _expiry(ttl, expire_time), method="PATCH"))

    def delete(self, cache: CacheOrName) -> None:
        """Delete the cache now."""
        self._sender.send(self._path_of(cache), None, method="DELETE")

    def _list(self, page_size: Optional[int], deadline: Deadline) -> Iterator[Cache]:
        path = self._path()
        return (Cache(data) for data in
                pages(lambda query: self._sender.get(path + query, deadline), "cachedContents", page_size))

    def _path(self) -> str:
        return collection_path(self._sender, "cachedContents", _ADVICE)

    def _path_of(self, cache: CacheOrName) -> str:
        id = resource_name(cache, Cache).rpartition("/")[2]
        return f"{self._path()}/{quote(id, safe='-._~')}"

    def _find(self, body: JSON, started: datetime.datetime, deadline: Deadline) -> Optional[JSON]:
        """The cache that a lost call made; None if there is none. UncertainError if that cannot be told."""
        found = [cache for cache in self._list(1000, deadline) if cache.model == body["model"]
                 and (cache.create_time is None or cache.create_time >= started - _CLOCK_ERROR)]
        name = body.get("displayName")
        if name is not None:
            found = [cache for cache in found if cache.display_name == name]
            if len(found) == 1:
                return found[0].data
        if found:
            raise UncertainError("client.caches.list() shows what there is; with a display_name= of its own it would "
                                 "have been found.")
        return None


def _expiry(ttl: Optional[Seconds], expire_time: Optional[Moment]) -> JSON:
    if ttl is not None and expire_time is not None:
        raise ValueError("ttl and expire_time exclude each other: give one of them")
    if ttl is not None:
        return {"ttl": _duration(ttl)}
    if expire_time is None:
        return {}
    if isinstance(expire_time, datetime.datetime):
        if expire_time.tzinfo is None:
            raise ValueError("expire_time must know its time zone: datetime.now(timezone.utc) + timedelta(hours=2)")
        return {"expireTime": expire_time.isoformat()}
    if parse_time(expire_time) is None:
        raise ValueError(f"expire_time is an aware datetime or a text such as '2026-12-01T12:00:00Z', not "
                         f"{expire_time!r}")
    return {"expireTime": expire_time}


def _duration(ttl: Seconds) -> str:
    """Seconds as the API writes them, such as ``7200s``."""
    seconds = ttl.total_seconds() if isinstance(ttl, datetime.timedelta) else ttl
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 < seconds < 1e12:
        raise ValueError(f"ttl is a number of seconds above 0, or a timedelta, not {ttl!r:.80}")
    return f"{seconds:.9f}".rstrip("0").rstrip(".") + "s"
