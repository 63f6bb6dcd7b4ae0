"""Who is calling: an API key, or a sign-in that is renewed and kept on disk."""
