"""What the API keeps for you: files and caches, and the embeddings it makes."""
