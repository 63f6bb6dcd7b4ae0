"""What is to be embedded, as a caller gives it: one content for each item, and what is said of all of them."""
from __future__ import annotations

from typing import Iterable, List, Mapping, NamedTuple, Optional, Union, cast

from .. import contents, media
from ..contents import Prompt, PromptItem
from ..json_data import JSON
from ..transport.deadline import check_count
from .prompts import check_prompts

EmbedPrompts = Union[PromptItem, Iterable[Prompt]]

DEFAULT_MODEL = "gemini-embedding-001"
_NO_TASK_TYPES = ("gemini-embedding-2",)  # models whose task is said in the text


class EmbeddingItems(NamedTuple):
    """The model, the content of each item, and the fields that every request has besides."""

    model: str
    contents: List[JSON]
    fields: JSON


def read_items(
    prompts: EmbedPrompts, model: Optional[str], task_type: Optional[str], title: Optional[str],
    output_dimensionality: Optional[int],
) -> EmbeddingItems:
    """The arguments of `GeminiClient.embed`, checked; ValueError for what the model does not take."""
    model = _bare_model(model or DEFAULT_MODEL)
    return EmbeddingItems(model, [_content(item, number) for number, item in enumerate(_items(prompts))],
                          _fields(model, task_type, title, output_dimensionality))


def _items(prompts: EmbedPrompts) -> List[Prompt]:
    """The items of a list, a column or another iterable; a text, (bytes, MIME type), a `Blob` and so on are one item.
    """
    is_one = isinstance(prompts, (str, bytes, bytearray, memoryview, Mapping)) or not hasattr(prompts, "__iter__")
    if is_one or media.is_media(prompts):
        return [cast(Prompt, prompts)]
    check_prompts(prompts)
    return list(cast(Iterable[Prompt], prompts))


def _content(item: Prompt, number: int) -> JSON:
    """The one content that an item is; what is wrong with it is said with its `number`."""
    if isinstance(item, tuple) and not media.is_media(item):
        item = list(item)
    try:
        found = contents.from_prompt(item)
    except (ValueError, TypeError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"item {number} cannot be embedded: {error}") from None
    if len(found) != 1:
        raise ValueError("an item to embed is one content: give the contents as items of the list")
    return found[0]


def _fields(model: str, task_type: Optional[str], title: Optional[str], dimensions: Optional[int]) -> JSON:
    """What every request of a list says besides its content."""
    if model.rpartition("/")[2].startswith(_NO_TASK_TYPES) and (task_type or title):
        raise ValueError(f"{model} knows no task types and titles: write them into the text, such as "
                         "'task: search result | query: ...', or use gemini-embedding-001")
    if dimensions is not None:
        check_count(dimensions, "output_dimensionality")
    fields = {"taskType": task_type.upper() if task_type else None, "title": title, "outputDimensionality": dimensions}
    return {name: value for name, value in fields.items() if value is not None}


def _bare_model(model: str) -> str:
    model = model.strip()
    return model[len("models/"):] if model.startswith("models/") else model
