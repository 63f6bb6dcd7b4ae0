"""Answers and progress as a notebook or a terminal shows them: plain dicts and Blobs in, pages out."""
