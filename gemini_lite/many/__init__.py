"""Many prompts: sent side by side, paced by what the server says, kept on disk, or handed to an engine."""
