"""Strict mode: what Google refuses, refused in Google's words where they are known."""
from __future__ import annotations

import fnmatch
import json
from typing import Collection, List, NamedTuple, Optional, Sequence, Set

from ..json_data import JSON
from .built_in import methods_of, not_found
from .camel_case import as_list
from .message_fields import messages, unknown_names
from .replies import Error
from .request import Request
from .strict_history import bad_history

_MESSAGES = {
    "generate": "GenerateContentRequest", "countTokens": "CountTokensRequest", "embedContent": "EmbedContentRequest",
    "batchEmbedContents": "BatchEmbedContentsRequest", "computeTokens": "ComputeTokensRequest",
    "predict": "PredictRequest",
}
_CODE_ASSIST_MESSAGES = {"generate": "CodeAssistRequest", "countTokens": "CodeAssistCountRequest"}
_PATH_MESSAGES = (  # end of the path, message
    ("/cachedContents", "CachedContent"), (":batchGenerateContent", "BatchGenerateContentRequest"),
    (":asyncBatchEmbedContent", "AsyncBatchEmbedContentRequest"), ("/batchPredictionJobs", "BatchPredictionJob"),
)
_MODEL_METHODS = {  # the method that a model must serve for a kind of request
    "generate": "generateContent", "countTokens": "countTokens", "computeTokens": "computeTokens",
    "embedContent": "embedContent", "batchEmbedContents": "batchEmbedContents",
}
_DATA_FIELDS = {
    "text", "inlineData", "fileData", "functionCall", "functionResponse", "executableCode", "codeExecutionResult",
    "toolCall", "toolResponse", "thoughtSignature",
}
_UNABLE = "Unable to submit request because"
_VERTEX_MODELS = "https://cloud.google.com/vertex-ai/generative-ai/docs/learn/model-versions"
_VERTEX_GUIDE = "https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/gemini"


class Known(NamedTuple):
    """What the stand-in has: the ids of its models, and the names of files and caches that are no longer there."""

    models: Collection[str]
    expired: Collection[str] = ()


def refusal(request: Request, known: Known) -> Optional[Error]:
    """Google's answer to a request that it would not take; None for one that is in order."""
    message = _message(request)
    if not message or request.method not in ("POST", "PATCH"):
        return None
    return _bad_json(request) or _bad_fields(request, message) or _bad_model(request, known.models) \
        or _bad_by_kind(request, known.expired)


def _message(request: Request) -> str:
    if request.code_assist:
        return _CODE_ASSIST_MESSAGES.get(request.kind, "")
    if request.kind == "predict":
        return ""  # its instances are of any form
    by_path = next((message for end, message in _PATH_MESSAGES if request.bare_path.endswith(end)), "")
    if not by_path and request.method == "PATCH" and "/cachedContents/" in request.bare_path:
        return "CachedContent"
    return by_path or _MESSAGES.get(request.kind, "")


def _bad_json(request: Request) -> Optional[Error]:
    if isinstance(request.body, dict):
        return None
    text = request.body.decode("utf-8", "replace") if isinstance(request.body, bytes) else json.dumps(request.body)
    try:
        value = json.loads(text or "{}")
        if value == {}:
            return None
        reason = "Root element must be a message." if not isinstance(value, dict) else \
            f"Content-Type is {request.headers.get('content-type', 'missing')}, not application/json."
        return Error(400, f"Invalid JSON payload received. {reason}\n{text[:80]}")
    except ValueError as error:
        start = max(0, getattr(error, "pos", 0) - 40)
        place = text[start:start + 80].splitlines() or [""]
        return Error(400, f"Invalid JSON payload received. {error}\n{place[0]}\n{' ' * min(40, len(place[0]))}^")


def _bad_fields(request: Request, message: str) -> Optional[Error]:
    api = "developer" if request.api == "developer" else "vertex"
    if message not in messages(api):
        return None  # a method that this API does not have: see _bad_model
    found = list(unknown_names(request.body, message, api))
    if not found:
        return None
    violations: List[JSON] = []
    for place, name in found:
        where = f" at '{place}'" if place else ""
        description = f'Invalid JSON payload received. Unknown name "{name}"{where}: Cannot find field.'
        violations.append({**({"field": place} if place else {}), "description": description})
    details = [{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations}]
    return Error(400, "\n".join(str(violation["description"]) for violation in violations), details=details)


def _bad_model(request: Request, models: Collection[str]) -> Optional[Error]:
    method = _MODEL_METHODS.get(request.kind, "")
    if not method or (request.code_assist and not request.model):
        return None
    if method == "computeTokens" and request.api == "developer":
        return not_found(request.model, method, request.bare_path.split("/")[1])
    known = any(fnmatch.fnmatchcase(request.model, model) for model in models)
    if known and (method in methods_of(request.model) or "/" in request.model):
        return None
    if request.code_assist:
        return Error(404, "Requested entity was not found.")
    if request.api == "vertex":
        resource = request.bare_path.partition(":")[0].split("/", 2)[2]
        return Error(404, f"Publisher Model `{resource}` was not found or your project does not have access to it. "
                          f"Please ensure you are using a valid model version. For more information, see: "
                          f"{_VERTEX_MODELS}")
    return not_found(request.model, method, request.bare_path.split("/")[1])


def _bad_by_kind(request: Request, expired: Collection[str]) -> Optional[Error]:
    if request.kind == "generate":
        return _bad_contents(request) or bad_history(request) or bad_cache(request, expired) \
            or _bad_files(request.contents, expired)
    if request.kind == "countTokens":
        return _bad_count(request)
    if request.kind == "batchEmbedContents":
        return _bad_embeddings(request)
    return None


def _bad_contents(request: Request) -> Optional[Error]:
    vertex = request.api != "developer"
    if not request.contents:
        return Error(400, f"{_UNABLE} at least one contents field is required. Learn more: {_VERTEX_GUIDE}"
                     if vertex else "* GenerateContentRequest.contents: contents is not specified\n")
    for number, content in enumerate(request.contents):
        place = f"* GenerateContentRequest.contents[{number}].parts"
        if content.get("role") not in (None, "", "user", "model"):
            return Error(400, "Please use a valid role: user, model.")
        if not content["parts"]:
            return Error(400, f"{_UNABLE} it must include at least one parts field, which describes the prompt input. "
                              f"Learn more: {_VERTEX_GUIDE}" if vertex else
                         f"{place}: contents.parts must not be empty.\n")
        empty = [index for index, part in enumerate(content["parts"]) if not _DATA_FIELDS & _given(part)]
        if empty:
            return Error(400, f"{place}[{empty[0]}].data: required oneof field 'data' must have one initialized "
                              "field\n")
    return None


def _given(part: JSON) -> Set[str]:
    return {name for name, value in part.items() if value is not None}


def _bad_count(request: Request) -> Optional[Error]:
    if request.prompt.get("contents") or request.prompt.get("generateContentRequest"):
        return None
    return Error(400, "* CountTokensRequest.contents: contents is not specified\n")


def _bad_embeddings(request: Request) -> Optional[Error]:
    requests = as_list(request.json.get("requests"))
    if not requests:
        return Error(400, "* BatchEmbedContentsRequest.requests: requests is not specified\n")
    if len(requests) > (100 if request.api == "developer" else 250):
        return Error(400, "* BatchEmbedContentsRequest.requests: at most 100 requests can be in one batch\n"
                     if request.api == "developer" else
                     f"{_UNABLE} it included too many instances")
    if request.api == "developer" and any(not each.get("model") for each in requests):
        return Error(400, "* BatchEmbedContentsRequest.requests: each request must name the model\n")
    return None


def bad_cache(request: Request, expired: Collection[str] = ()) -> Optional[Error]:
    """The refusal of a prompt over a cache that is gone, or that says what the cache has."""
    name = str(request.prompt.get("cachedContent") or "")
    if not name:
        return None
    vertex = request.api != "developer"
    if name in expired:
        return Error(404, f"Not found: cached content metadata for {name}.") if vertex else \
            Error(403, "CachedContent not found (or permission denied)")
    if any(request.prompt.get(field) for field in ("systemInstruction", "tools", "toolConfig")):
        return Error(400, "Tool config, tools and system instruction should not be set in the request when using "
                          "cached content." if vertex else
                          "CachedContent can not be used with GenerateContent request setting system_instruction, "
                          "tools or tool_config.\n\nProposed fix: move those values to CachedContent from "
                          "GenerateContent request.")
    return None


def _bad_files(contents: Sequence[JSON], expired: Collection[str]) -> Optional[Error]:
    for content in contents:
        for part in content["parts"]:
            uri = str((part.get("fileData") or {}).get("fileUri", ""))
            name = next((name for name in expired if name and uri.endswith(name)), None)
            if name:
                return Error(403, f"You do not have permission to access the File {name.rpartition('/')[2]} or it may "
                                  "not exist.")
    return None
