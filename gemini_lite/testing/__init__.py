"""A Gemini on 127.0.0.1, for your tests and ours."""
from .message_fields import unknown_fields
from .recording import record
from .replies import Answer, Error, Raw, Reply, call
from .request import Request
from .server import FakeGemini

__all__ = ["Answer", "Error", "FakeGemini", "Raw", "Reply", "Request", "call", "record", "unknown_fields"]
