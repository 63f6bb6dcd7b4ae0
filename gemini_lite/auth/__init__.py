"""Who is calling: an API key, or a sign-in kept fresh on disk."""
