"""Lists that the API gives page by page."""
from __future__ import annotations

from typing import Callable, Iterator, Optional
from urllib.parse import quote, urlencode

from ..errors import ParseError
from ..json_data import JSON, list_of_dicts, str_or_none


def pages(get: Callable[[str], JSON], key: str, size: Optional[int] = None) -> Iterator[JSON]:
    """The dicts under `key` of all pages, each fetched when it is needed; `get` takes a query such as ``?pageToken=x``.

    ParseError if a page names a token again, which would never end.
    """
    token, seen = "", set()
    while True:
        query = {**({"pageSize": size} if size else {}), **({"pageToken": token} if token else {})}
        page = get(f"?{urlencode(query, quote_via=quote, safe='', errors='replace')}" if query else "")
        yield from list_of_dicts(page.get(key))
        token = str_or_none(page.get("nextPageToken")) or ""
        if not token:
            return
        if token in seen:
            raise ParseError("The server named a page a second time, so the list would never end. Ask again later.",
                             reason="REPEATED_PAGE")
        seen.add(token)
