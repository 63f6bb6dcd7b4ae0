"""A Gemini on 127.0.0.1, for your tests and ours."""
from .server import Answer, Error, FakeGemini, Raw, Reply, Request, call

__all__ = ["Answer", "Error", "FakeGemini", "Raw", "Reply", "Request", "call"]
