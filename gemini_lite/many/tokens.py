"""How many tokens a prompt has, as far as the answers so far tell."""
from __future__ import annotations

import json

from ..json_data import JSON, number_or_none
from ..response import GenerateContentResponse

_encode = json.JSONEncoder(ensure_ascii=False, default=str).encode


class TokenEstimate:
    """Learns from each answer; without a prompt's size it gives the mean of all."""

    def __init__(self) -> None:
        self._prompts = self._tokens = 0
        self._sized_tokens = self._bytes = 0

    def tokens(self, size: int = 0) -> float:
        """The tokens that a prompt of `size` bytes probably has; 0 before the first answer."""
        if size and self._bytes:
            return size * self._sized_tokens / self._bytes
        return self._tokens / self._prompts if self._prompts else 0.0

    def learn(self, size: int, tokens: int) -> None:
        """A prompt of `size` bytes (0: nobody counted them) had so many `tokens`."""
        self._prompts += 1
        self._tokens += tokens
        if size:
            self._sized_tokens += tokens
            self._bytes += size


def size_of(request: JSON) -> int:
    """The bytes of a request, about."""
    return len(_encode(request))


def prompt_tokens(response: object) -> int:
    """What the server counted for the prompt of an answer; 0 if it did not say."""
    if not isinstance(response, GenerateContentResponse):
        return 0
    return token_count(response.usage_metadata.data, "promptTokenCount")


def token_count(usage: JSON, name: str) -> int:
    """The count of that name in an answer's usage; 0 for none, and for a number that counts nothing."""
    count = number_or_none(usage.get(name)) or 0
    return int(count) if 0 < count < 2 ** 63 else 0
