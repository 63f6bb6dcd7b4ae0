"""The answers that nobody scripted: model lists, token counts, and what a client sets itself up with."""
from __future__ import annotations

import base64
import re
from typing import Callable, Dict, List, Optional

from ..json_data import JSON
from .replies import Answer, Error, json_answer, token_count
from .request import Request
from .service_answers import page

MODELS = (
    "gemini-2.5-pro", "gemini-2.5-flash", "gemini-2.5-flash-lite", "gemini-3-pro-preview", "gemini-3-flash-preview",
    "gemini-3.1-pro-preview", "gemini-3.1-flash-lite", "gemini-3.5-flash", "gemini-3.5-flash-lite", "gemini-3.8-flash",
    "gemini-flash-latest", "gemini-flash-lite-latest", "gemini-pro-latest", "gemini-2.5-flash-image",
    "gemini-embedding-001", "gemini-embedding-2", "text-embedding-005",
)
_FAKE_PROJECT: JSON = {"id": "fake-project", "name": "fake-project"}
_TIER: JSON = {"id": "standard-tier", "name": "Gemini Code Assist"}
_ONBOARDED: JSON = {
    "name": "operations/fake-onboarding", "done": True, "response": {"cloudaicompanionProject": _FAKE_PROJECT}}
_QUOTA: JSON = {"remainingAmount": "1000", "remainingFraction": 1, "resetTime": "2100-01-01T00:00:00Z",
                "tokenType": "REQUESTS"}


class BuiltInAnswers:
    """What the stand-in knows by itself; `models` are the ids of its models, a list that may be changed."""

    def __init__(self, models: List[str]) -> None:
        self.models = models
        self._setting: JSON = {"cloudaicompanionProject": "fake-project", "freeTierDataCollectionOptin": False}
        self._tables: Dict[str, Callable[[Request], Answer]] = {
            "models": self._models, "countTokens": _count, "computeTokens": _compute_tokens,
            "retrieveUserQuota": self._quota,
            "getCodeAssistGlobalUserSetting": self._user_setting, "setCodeAssistGlobalUserSetting": self._user_setting,
        }

    def answer(self, request: Request, serial: int) -> Optional[Answer]:
        """The answer to a request, the `serial`-th of its kind; None where there is none."""
        if request.kind in self._tables:
            return self._tables[request.kind](request)
        fixed = _fixed(request.kind, serial)
        return None if fixed is None else json_answer(fixed)

    def _models(self, request: Request) -> Answer:
        describe = _publisher_model if request.api == "vertex" else _model
        models = [model for model in self.models if "*" not in model]
        if request.model:
            known = request.model in models
            return json_answer(describe(request.model)) if known else not_found(request.model, "")
        name = "publisherModels" if request.api == "vertex" else "models"
        return page(request, name, [describe(model) for model in models])

    def _quota(self, request: Request) -> Answer:
        """A bucket for each model that generates: Gemini CLI uses no preview model that has none."""
        models = [model for model in self.models if "generateContent" in methods_of(model) and "*" not in model]
        return json_answer({"buckets": [{**_QUOTA, "modelId": model} for model in models]})

    def _user_setting(self, request: Request) -> Answer:
        if request.method == "POST":
            self._setting = {**self._setting, **request.json}
        return json_answer(self._setting)


def not_found(model: str, method: str, version: str = "v1beta") -> Error:
    """Google's answer for a model that it does not have, or not for `method`; "" asks for the model itself."""
    name = model if "/" in model else f"models/{model}"
    if not method:
        return Error(404, f"{name} is not found")
    return Error(404, f"{name} is not found for API version {version}, or is not supported for {method}. "
                      "Call ListModels to see the list of available models and their supported methods.")


def methods_of(model: str) -> List[str]:
    """The methods that a model serves, by its name."""
    if "embedding" in model:
        return ["embedContent", "batchEmbedContents", "countTokens", "computeTokens", "predict"]
    return ["generateContent", "countTokens", "computeTokens", "batchGenerateContent", "createCachedContent"]


def _model(model: str) -> JSON:
    return {
        "name": f"models/{model}", "version": "001", "displayName": model.replace("-", " ").title(),
        "description": "A fake.", "inputTokenLimit": 1048576, "outputTokenLimit": 65536, "temperature": 1,
        "topP": 0.95, "topK": 64, "maxTemperature": 2, "thinking": "embedding" not in model,
        "supportedGenerationMethods": [method for method in methods_of(model) if method not in _VERTEX_METHODS],
    }


_VERTEX_METHODS = ("computeTokens", "predict")


def _publisher_model(model: str) -> JSON:
    return {"name": f"publishers/google/models/{model}", "versionId": "default", "launchStage": "GA"}


def _count(request: Request) -> Answer:
    return json_answer({"totalTokens": token_count(request.body)})


def _compute_tokens(request: Request) -> Answer:
    """Pieces of four characters as the tokens, numbered by what they are."""
    infos = []
    for content in request.contents:
        text = "".join(str(part.get("text", "")) for part in content["parts"])
        pieces = [piece.encode("utf-8", "replace") for piece in re.findall("(?s).{1,4}", text)]
        infos.append({"role": content.get("role", "user"), "tokens": [base64.b64encode(p).decode() for p in pieces],
                      "tokenIds": [str(int.from_bytes(piece[:3], "big")) for piece in pieces]})
    return json_answer({"tokensInfo": infos})


def _fixed(kind: str, serial: int) -> Optional[JSON]:
    answers: Dict[str, JSON] = {
        "token": {"access_token": f"fake-access-token-{serial}", "expires_in": 3599, "token_type": "Bearer",
                  "scope": "https://www.googleapis.com/auth/cloud-platform"},
        "loadCodeAssist": {"currentTier": _TIER, "allowedTiers": [_TIER], "cloudaicompanionProject": "fake-project"},
        "onboardUser": _ONBOARDED,
        "operations": _ONBOARDED,
        "listExperiments": {"experimentIds": [], "flags": []},
        "fetchAdminControls": {"adminControlsApplicable": False},
        "recordCodeAssistMetrics": {},
    }
    return answers.get(kind)
