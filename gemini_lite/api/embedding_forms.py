"""How a list is sent to be embedded, and where its vectors stand in the answer: three forms of two APIs."""
from __future__ import annotations

from typing import List, Protocol, Sequence

from ..json_data import JSON, dict_or_empty, list_of_dicts, number_or_none
from .places import model_name, sign_in
from .sending import Sender


class Form(Protocol):
    """One way to send a list; `limit` is the most items of a call."""

    limit: int

    def method(self, count: int) -> str:
        """The API's method for `count` items."""

    def body(self, items: Sequence[JSON], fields: JSON) -> JSON:
        """The request for these contents; `fields` are ``taskType``, ``title`` and ``outputDimensionality``."""

    def embeddings(self, answer: JSON) -> List[JSON]:
        """The dicts with ``values``, in the order of the items."""

    def usage(self, answer: JSON) -> JSON:
        """The token counts of the answer, by the API's names."""


class DeveloperForm:
    """The Developer API's ``batchEmbedContents``, for one item too."""

    limit = 100

    def __init__(self, model: str) -> None:
        self._model = model

    def method(self, count: int) -> str:
        """``batchEmbedContents``, whatever the `count`."""
        return "batchEmbedContents"

    def body(self, items: Sequence[JSON], fields: JSON) -> JSON:
        """``{"requests": [...]}``, each with the model, its content and the `fields`."""
        return {"requests": [{"model": self._model, "content": item, **fields} for item in items]}

    def embeddings(self, answer: JSON) -> List[JSON]:
        """The dicts with ``values`` under ``embeddings``."""
        return list_of_dicts(answer.get("embeddings"))

    def usage(self, answer: JSON) -> JSON:
        """The ``usageMetadata`` of the answer, ``{}`` if it has none."""
        return dict_or_empty(answer.get("usageMetadata"))


class VertexForm:
    """Vertex AI's ``embedContent`` for one item and ``batchEmbedContents`` for several."""

    limit = 250

    def method(self, count: int) -> str:
        """``embedContent`` for one item, ``batchEmbedContents`` for more."""
        return "embedContent" if count == 1 else "batchEmbedContents"

    def body(self, items: Sequence[JSON], fields: JSON) -> JSON:
        """One request, or ``{"requests": [...]}``; the `fields` stand in each under ``embedContentConfig``."""
        config = {"embedContentConfig": fields} if fields else {}
        requests: List[JSON] = [{"content": item, **config} for item in items]
        return requests[0] if len(requests) == 1 else {"requests": requests}

    def embeddings(self, answer: JSON) -> List[JSON]:
        """The dict with ``values`` under ``embedding``, or those under ``embeddings``."""
        return list_of_dicts([answer["embedding"]] if "embedding" in answer else answer.get("embeddings"))

    def usage(self, answer: JSON) -> JSON:
        """The ``usageMetadata`` of the answer, ``{}`` if it has none."""
        return dict_or_empty(answer.get("usageMetadata"))


class PredictForm:
    """Vertex AI's ``predict``, for its older models, which take text alone."""

    limit = 250

    def method(self, count: int) -> str:
        """``predict``, whatever the `count`."""
        return "predict"

    def body(self, items: Sequence[JSON], fields: JSON) -> JSON:
        """``instances`` with a text each, and ``parameters`` for all; ValueError for an item that is not one text."""
        names = {"taskType": "task_type", "title": "title"}
        own = {names[name]: value for name, value in fields.items() if name in names}
        parameters = {name: value for name, value in fields.items() if name not in names}
        return {"instances": [{"content": _text_of(item), **own} for item in items],
                **({"parameters": parameters} if parameters else {})}

    def embeddings(self, answer: JSON) -> List[JSON]:
        """The dicts with ``values`` and ``statistics`` in the ``predictions``."""
        return [dict_or_empty(item.get("embeddings")) for item in list_of_dicts(answer.get("predictions"))]

    def usage(self, answer: JSON) -> JSON:
        """The ``token_count`` of all items, added up as ``promptTokenCount``; ``{}`` if none was told."""
        counts = [dict_or_empty(item.get("statistics")).get("token_count") for item in self.embeddings(answer)]
        numbers = [number for number in map(number_or_none, counts) if number is not None]
        return {"promptTokenCount": int(sum(numbers))} if numbers else {}


def _text_of(content: JSON) -> str:
    parts = list_of_dicts(content.get("parts"))
    if len(parts) != 1 or not isinstance(parts[0].get("text"), str):
        raise ValueError("this model takes one text an item: use gemini-embedding-2 for several parts and other kinds")
    return str(parts[0]["text"])


def form_of(sender: Sender, model: str) -> Form:
    """The form that the backend takes for `model`."""
    if not hasattr(sender.route.backend, "model_resource"):
        return DeveloperForm(model_name(sender, model))
    sign_in(sender)
    return VertexForm() if "gemini" in model or "maas" in model else PredictForm()
