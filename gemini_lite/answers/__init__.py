"""What an answer says: its sources and token counts, calls that came in pieces, and whether it is whole."""
