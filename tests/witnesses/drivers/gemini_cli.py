"""Gemini CLI without a terminal, with an API key or, as ``gemini_cli.py URL FEATURE code-assist``, at Code Assist."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

from driver import MODEL, PARAMETERS, PROMPT, URL, run

HERE = pathlib.Path(__file__).parent
CODE_ASSIST = sys.argv[3:] == ["code-assist"]
TOOLS = [{"name": "weather", "description": "The weather somewhere.", "parametersJsonSchema": PARAMETERS}]
SETTINGS = {
    "security": {"auth": {"selectedType": "oauth-personal" if CODE_ASSIST else "gemini-api-key"}},
    "privacy": {"usageStatisticsEnabled": False}, "general": {"enableAutoUpdate": False},
    "model": {"name": MODEL},
    # Programs tell what there is and are the tools; ``tee weather`` keeps the arguments in a file and returns them.
    "tools": {"discoveryCommand": "cat tools.json", "callCommand": "tee"}}
ADDRESS = {
    "GOOGLE_GENAI_USE_GCA": "true", "GOOGLE_CLOUD_ACCESS_TOKEN": "test-token", "CODE_ASSIST_ENDPOINT": URL,
} if CODE_ASSIST else {"GEMINI_API_KEY": "test-key", "GOOGLE_GEMINI_BASE_URL": URL}


def gemini(output_format, feature):
    """What `feature` makes of its output and its home: one of its own, from which it meets nobody but the stand-in."""
    with tempfile.TemporaryDirectory() as home:
        folder = pathlib.Path(home, ".gemini")
        folder.mkdir()
        (folder / "settings.json").write_text(json.dumps(SETTINGS), "utf-8")
        pathlib.Path(home, "tools.json").write_text(json.dumps(TOOLS), "utf-8")
        program = HERE / "node_modules/@google/gemini-cli/bundle/gemini.js"
        done = subprocess.run(
            ["node", program, "--skip-trust", "--approval-mode", "yolo", "-o", output_format, "-p", PROMPT],
            cwd=home, capture_output=True, text=True, encoding="utf-8", timeout=100, env={
                **ADDRESS, "PATH": os.environ["PATH"], "HOME": home,
                "NODE_OPTIONS": f"--require={HERE / 'loopback_only.cjs'}"})
        return feature(done, pathlib.Path(home))


def text(done, home):
    return json.loads(done.stdout)["response"]


def stream(done, home):
    events = [json.loads(line) for line in done.stdout.strip("\n").split("\n")]
    return [event["content"] for event in events if event["type"] == "message" and event["role"] == "assistant"]


def tools(done, home):
    return {"text": text(done, home), "calls": [json.loads((home / "weather").read_text("utf-8"))]}


def error(done, home):
    found = json.loads(done.stderr[done.stderr.rindex("\n{\n"):])["error"]
    return {"class": found["type"], "status": found["code"], "message": found["message"]}


def cut(done, home):
    end = json.loads(done.stdout.strip("\n").rpartition("\n")[2])
    return {"text": "".join(stream(done, home)), "error": end["error"]["message"] if end["status"] == "error" else None}


run(text=lambda: gemini("json", text), stream=lambda: gemini("stream-json", stream),
    tools=lambda: gemini("json", tools), errors=lambda: gemini("json", error), cut=lambda: gemini("stream-json", cut))
