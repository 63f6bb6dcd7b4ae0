"""How a notebook or a terminal shows an answer: plain dicts and Blobs in, pages out."""
