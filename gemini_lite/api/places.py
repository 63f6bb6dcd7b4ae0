"""Where a backend keeps things: the paths of its collections and the full names of its models.

A backend says so with methods of its own: `collection(name)` (`DeveloperAPI`), or `parent()` and
`model_resource(model)` (`VertexAI`). One without them keeps nothing.
"""
from __future__ import annotations

from typing import Dict
from urllib.parse import quote

from ..backends.base import model_resource
from .sending import Sender

# What is kept under projects/p/locations/l
_OF_PROJECTS = frozenset(("cachedContents", "interactions", "batchPredictionJobs"))


def collection_path(sender: Sender, name: str, advice: str) -> str:
    """The path of a collection such as ``files``; ValueError with `advice` where the backend has none."""
    backend = sender.route.backend
    collection, parent = getattr(backend, "collection", None), getattr(backend, "parent", None)
    if collection is not None:
        return str(collection(name))
    if parent is not None and name in _OF_PROJECTS:
        sign_in(sender)
        return f"/{getattr(backend, 'api_version')}/{quote(parent(), safe='/-._~:')}/{name}"
    raise ValueError(f"{type(backend).__name__} keeps no {_WORDS.get(name, name)}: {advice}")


def is_in_project(sender: Sender) -> bool:
    """Whether the backend keeps things in a project of Google Cloud, as `VertexAI` does."""
    return hasattr(sender.route.backend, "parent")


def model_name(sender: Sender, model: str) -> str:
    """The full name of a model, such as ``models/gemini-2.5-flash``."""
    find = getattr(sender.route.backend, "model_resource", None)
    if find is not None:
        sign_in(sender)
        return str(find(model))
    return model_resource(model)


def sign_in(sender: Sender) -> None:
    """Have the credentials found, for a backend that asks them for its project."""
    step = getattr(sender.route.backend, "sign_in", None)
    if step is not None:
        step(sender.route.post(sender.settings()))


_WORDS: Dict[str, str] = {"cachedContents": "caches"}
