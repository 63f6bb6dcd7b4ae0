"""The turns of a conversation: which may follow each other, and which calls in them are owed a result."""
