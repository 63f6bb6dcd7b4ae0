"""The Flask example, whose client is used while the module is loaded; each answer names its worker."""
from __future__ import annotations

import os
from typing import Any

from flask_app import app, client

client.generate("before the fork")


@app.after_request
def name_the_worker(response: Any) -> Any:
    response.headers["X-Worker"] = str(os.getpid())
    return response
