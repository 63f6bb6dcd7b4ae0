"""The token counts of an answer."""
from __future__ import annotations

from typing import List, Optional

from ..json_data import JSON, APIObject, int_or_none, list_of_dicts, str_or_none


class UsageMetadata:
    """Token counts by the API's names in snake_case; a number that the API did not send is None.

    The details are lists of ``modality`` and ``token_count``, empty where the API sent none.
    """

    __slots__ = ("data",)

    def __init__(self, data: JSON) -> None:
        self.data = data

    @property
    def prompt_token_count(self) -> Optional[int]:
        """The prompt, with what a cache holds."""
        return int_or_none(self.data.get("promptTokenCount"))

    @property
    def cached_content_token_count(self) -> Optional[int]:
        """The part of the prompt that came from a cache."""
        return int_or_none(self.data.get("cachedContentTokenCount"))

    @property
    def candidates_token_count(self) -> Optional[int]:
        """The answer, without the thoughts."""
        return int_or_none(self.data.get("candidatesTokenCount"))

    @property
    def thoughts_token_count(self) -> Optional[int]:
        """The thoughts."""
        return int_or_none(self.data.get("thoughtsTokenCount"))

    @property
    def tool_use_prompt_token_count(self) -> Optional[int]:
        """What Google's own tools put into the prompt."""
        return int_or_none(self.data.get("toolUsePromptTokenCount"))

    @property
    def total_token_count(self) -> Optional[int]:
        """All of them together."""
        return int_or_none(self.data.get("totalTokenCount"))

    @property
    def prompt_tokens_details(self) -> List[APIObject]:
        """The prompt by modality: dicts with ``modality`` and ``tokenCount``."""
        return _objects(self.data.get("promptTokensDetails"))

    @property
    def cache_tokens_details(self) -> List[APIObject]:
        """The cached part by modality."""
        return _objects(self.data.get("cacheTokensDetails"))

    @property
    def candidates_tokens_details(self) -> List[APIObject]:
        """The answer by modality."""
        return _objects(self.data.get("candidatesTokensDetails"))

    @property
    def tool_use_prompt_tokens_details(self) -> List[APIObject]:
        """What Google's own tools put into the prompt, by modality."""
        return _objects(self.data.get("toolUsePromptTokensDetails"))

    @property
    def service_tier(self) -> Optional[str]:
        """How the call was served: ``"standard"``, ``"flex"``, ``"priority"``."""
        return str_or_none(self.data.get("serviceTier"))

    @property
    def traffic_type(self) -> Optional[str]:
        """What the call was paid with, on Vertex AI: ``"ON_DEMAND"``, ``"PROVISIONED_THROUGHPUT"``."""
        return str_or_none(self.data.get("trafficType"))

    def __repr__(self) -> str:
        return f"UsageMetadata({self.data!r})"


def _objects(value: object) -> List[APIObject]:
    return [APIObject(item) for item in list_of_dicts(value)]
