"""OpenAI's chat format for a Gemini client: chat messages in, Gemini contents out, and Gemini answers back."""
from .answers import chunks_to_openai, to_openai
from .chat import ChatStream, OpenAIChat, from_openai
from .errors import to_openai_error

__all__ = ["ChatStream", "OpenAIChat", "chunks_to_openai", "from_openai", "to_openai", "to_openai_error"]
