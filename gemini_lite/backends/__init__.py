"""Where a request goes, and the envelope it wears there."""
