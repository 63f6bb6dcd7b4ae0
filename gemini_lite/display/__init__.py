"""An answer as a notebook shows it: plain dicts and Blobs in, pages out."""
