"""An answer as it comes, and the whole answer that its events fold into."""
from .stream import Chunks, Stream, chunks

__all__ = ["Chunks", "Stream", "chunks"]
