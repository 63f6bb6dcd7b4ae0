"""What all backends share: which model names are names."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import pytest

from gemini_lite import CodeAssist, GeminiClient
from gemini_lite.backends.base import check_model, model_resource
from gemini_lite.testing import FakeGemini


@pytest.mark.parametrize("given, name, resource", [
    ("gemini-x", "gemini-x", "models/gemini-x"), ("models/gemini-x", "gemini-x", "models/gemini-x"),
    (" models/padded\n", "padded", "models/padded"), ("tunedModels/mine", "tunedModels/mine", "tunedModels/mine"),
    ("models/openai/gpt-4", "models/openai/gpt-4", "models/openai/gpt-4"),
    ("openai/gpt-4", "openai/gpt-4", "openai/gpt-4"), ("gemini-x@001", "gemini-x@001", "models/gemini-x@001"),
    ("models/models/x", "models/models/x", "models/models/x"), ("Modell ü", "Modell ü", "models/Modell ü"),
])
def test_a_model_is_taken_as_it_is_listed(given: str, name: str, resource: str) -> None:
    assert (check_model(given), model_resource(given)) == (name, resource)
    assert (check_model(name), model_resource(name)) == (name, resource)


LEAVING = ["../../x", "a/../../../evil", "..", "models/..", "m?key=x", "m#y", "m&a=b", "a//b", "/m", "m/", "models/",
           "a/./b", ".", "m\r\nX: y", "m\0", "m\x7f", "a\\..\\b", "m\u2028n", "a/ /b", "m?alt=json"]


@pytest.mark.parametrize("model", LEAVING)
def test_a_model_that_leads_elsewhere_is_refused_with_the_way_to_find_one(model: str) -> None:
    for function in (check_model, model_resource):
        with pytest.raises(ValueError, match=r"client.models\(\) lists it"):
            function(model)


@pytest.mark.parametrize("model", LEAVING)
@pytest.mark.parametrize("backend", ["developer", "code assist"])
def test_no_request_is_sent_for_it(
    fake: FakeGemini, client: Callable[..., GeminiClient], tmp_path: Path, model: str, backend: str,
) -> None:
    assist: Any = CodeAssist(lambda: "token", endpoints=[fake.code_assist_url])
    with client(fake) if backend == "developer" else GeminiClient(backend=assist) as gemini:
        for method in (gemini.generate, gemini.stream, gemini.send_message, gemini.count_tokens):
            with pytest.raises(ValueError, match="model"):
                method("Hi", model=model)
    assert fake.connections == 0
