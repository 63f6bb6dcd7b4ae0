"""OpenAI's chat format in, Gemini's contents out, and back."""
from .answers import chunks_to_openai, to_openai
from .chat import ChatStream, OpenAIChat, from_openai, to_openai_error

__all__ = ["ChatStream", "OpenAIChat", "chunks_to_openai", "from_openai", "to_openai", "to_openai_error"]
