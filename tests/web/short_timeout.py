"""The Flask example with a client that waits one second for the next bytes."""
from __future__ import annotations

import flask_app

from gemini_lite import GeminiClient

flask_app.client = GeminiClient(timeout=(5, 1), retries=0)
app = flask_app.app
