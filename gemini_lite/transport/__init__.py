"""One request: sent, tried again as Google asks, answered as JSON or as events."""
