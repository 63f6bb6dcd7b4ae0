"""The command line: ``gemini-lite``, which is ``python -m gemini_lite``."""
