"""A fake Gemini that notes the paths, and credentials in google-auth's form without google-auth."""
from __future__ import annotations

from typing import Any, List, Optional, Tuple

from gemini_lite.testing import FakeGemini, Raw, Request


class FakeVertex(FakeGemini):
    """`paths` has the paths as they arrived, in order."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.paths: List[Tuple[str, str]] = []

    def _answer(self, request: Request) -> Raw:
        self.paths.append((request.method, request.path))
        return super()._answer(request)


class Token:
    """Credentials in google-auth's form, without google-auth: one access token for each refresh."""

    def __init__(self, quota_project_id: Optional[str] = None, universe_domain: str = "googleapis.com") -> None:
        self.token: Optional[str] = None
        self.expiry = None
        self.quota_project_id = quota_project_id
        self.universe_domain = universe_domain
        self.refreshed = 0

    @property
    def valid(self) -> bool:
        return self.token is not None

    def refresh(self, request: Any) -> None:
        self.refreshed += 1
        self.token = f"token-{self.refreshed}"
