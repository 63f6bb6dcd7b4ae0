"""One request as the stand-in recorded it, and the ways to read it."""
from __future__ import annotations

import re
from typing import Any, Dict, List, NamedTuple, Optional
from urllib.parse import parse_qsl, unquote, urlsplit

from ..json_data import JSON, dict_or_empty
from .camel_case import as_list, in_camel_case, json_schema, snake

SECRET_QUERY = {"key", "access_token"}
SECRET_FIELDS = {  # in snake_case, whichever spelling comes
    "access_token", "refresh_token", "id_token", "client_secret", "assertion", "api_key", "api_key_string",
    "subject_token"}
_SECRET_HEADERS = {"x-goog-api-key", "authorization"}
# The start of a path up to the model's method: any version, then Vertex AI's place and publisher, then the model.
_PROJECT = r"projects/[^/:]+/locations/[^/:]+/"
_MODEL = rf"/[^/:]+/(?:{_PROJECT})?(?:publishers/[^/:]+/)?(?P<model>(?:models|tunedModels|endpoints)/[^:]+)"
_MODEL_METHODS = {
    "generateContent": "generate", "streamGenerateContent": "generate", "countTokens": "countTokens",
    "computeTokens": "computeTokens", "embedContent": "embedContent", "batchEmbedContents": "batchEmbedContents",
    "predict": "predict",
}
_CODE_ASSIST_METHODS = {
    "generateContent": "generate", "streamGenerateContent": "generate",
    **{method: method for method in (
        "countTokens", "loadCodeAssist", "onboardUser", "retrieveUserQuota", "listExperiments", "fetchAdminControls",
        "recordCodeAssistMetrics", "getCodeAssistGlobalUserSetting", "setCodeAssistGlobalUserSetting")},
}
_OTHER_ROUTES = {
    "models": rf"GET /[^/:]+/(?:models|tunedModels|(?:{_PROJECT})?publishers/[^/:]+/models)"
              r"(?:/(?!.*operations/)[^:]+)?",
    "token": r"POST /token",
    "operations": r"GET /[^/:]+/operations/.+",
}
KINDS = tuple(dict.fromkeys([*_MODEL_METHODS.values(), *_CODE_ASSIST_METHODS.values(), *_OTHER_ROUTES]))


class Request(NamedTuple):
    """One request as it arrived: header names in lower case; `body` parsed if it is JSON or a form, else bytes."""

    method: str
    path: str
    headers: Dict[str, str]
    body: Any
    connection: int

    @property
    def kind(self) -> str:
        """What is asked for: "generate" (streamed or not), another name that `FakeGemini.answer` takes, or ""."""
        return _kind("GET" if self.method == "HEAD" else self.method, self.bare_path)

    @property
    def api(self) -> str:
        """Whose form the request has: "developer", "vertex" or "code_assist"."""
        if self.code_assist:
            return "code_assist"
        return "vertex" if re.match(r"/[^/:]+/(projects|publishers)/", self.bare_path) else "developer"

    @property
    def model(self) -> str:
        """The model id, from the path or from Code Assist's envelope; "" if there is none.

        A tuned model keeps its collection: "tunedModels/x"; an endpoint of Vertex AI, too: "endpoints/1".
        """
        in_path = re.match(_MODEL, self.bare_path)
        if in_path:
            return re.sub("^models/", "", in_path.group("model"))
        return str(self.body.get("model", "")) if isinstance(self.body, dict) else ""

    @property
    def streamed(self) -> bool:
        """Whether the answer is wanted as events."""
        return self.bare_path.endswith(":streamGenerateContent")

    @property
    def code_assist(self) -> bool:
        """Whether a method of Code Assist is called, whose requests and answers are in an envelope."""
        return re.match(r"/[^/:]+:", self.bare_path) is not None

    @property
    def query(self) -> Dict[str, str]:
        """The parameters after the "?" of the path."""
        return dict(parse_qsl(urlsplit(self.path).query))

    @property
    def bare_path(self) -> str:
        """The path without its query, unquoted."""
        return unquote(urlsplit(self.path).path)

    @property
    def json(self) -> JSON:
        """`body` with the API's field names in camelCase, whatever the client wrote; {} if it is no JSON object.

        What is the caller's keeps its spelling: arguments and results of functions, schemas, labels.
        """
        return dict_or_empty(in_camel_case(self.body))

    @property
    def prompt(self) -> JSON:
        """`json` without Code Assist's envelope: contents, systemInstruction, tools, generationConfig and the like."""
        return dict_or_empty(self.json.get("request")) if self.code_assist else self.json

    @property
    def contents(self) -> List[JSON]:
        """The conversation: each content with its parts as a list, in camelCase."""
        return [{**content, "parts": as_list(content.get("parts"))} for content in as_list(self.prompt.get("contents"))]

    @property
    def tools(self) -> List[JSON]:
        """The tools in camelCase; each function's parameters as a JSON Schema, under `parametersJsonSchema`."""
        return [_tool(tool) for tool in as_list(self.prompt.get("tools"))]

    @property
    def functions(self) -> List[JSON]:
        """The declarations of all functions, as in `tools`."""
        return [function for tool in self.tools for function in as_list(tool.get("functionDeclarations"))]

    @property
    def response_schema(self) -> Optional[JSON]:
        """The JSON Schema that the answer must fit, however it was given; None without one."""
        config = dict_or_empty(self.prompt.get("generationConfig"))
        for name in ("responseJsonSchema", "_responseJsonSchema", "responseSchema"):
            if config.get(name) is not None:
                return json_schema(config[name])
        return None


def redacted(request: Request) -> Request:
    """`request` with its credentials as ``***``."""
    body = request.body
    if isinstance(body, dict):
        body = {name: "***" if snake(name) in SECRET_FIELDS else value for name, value in body.items()}
    headers = {name: "***" if name in _SECRET_HEADERS else value for name, value in request.headers.items()}
    path = re.sub(rf"(?<=[?&])({'|'.join(sorted(SECRET_QUERY))})=[^&]*", r"\1=***", request.path)
    return request._replace(path=path, headers=headers, body=body)


def _kind(method: str, path: str) -> str:
    of_model = re.fullmatch(rf"{_MODEL}:(?P<method>\w+)", path)
    if of_model:
        return _MODEL_METHODS.get(of_model.group("method"), "") if method == "POST" else ""
    of_code_assist = re.fullmatch(r"/[^/:]+:(\w+)", path)
    if of_code_assist:
        name = of_code_assist.group(1)
        wanted = "GET" if name == "getCodeAssistGlobalUserSetting" else "POST"
        return _CODE_ASSIST_METHODS.get(name, "") if method == wanted else ""
    line = f"{method} {path}"
    return next((kind for kind, route in _OTHER_ROUTES.items() if re.fullmatch(route, line)), "")


def _tool(tool: JSON) -> JSON:
    if "functionDeclarations" not in tool:
        return tool
    return {**tool, "functionDeclarations": [_declaration(each) for each in as_list(tool["functionDeclarations"])]}


def _declaration(declaration: JSON) -> JSON:
    rest = {name: value for name, value in declaration.items() if name not in ("parameters", "parametersJsonSchema")}
    schema = declaration.get("parametersJsonSchema") or declaration.get("parameters")
    return {**rest, "parametersJsonSchema": json_schema(schema)} if schema else rest
