"""``python -m gemini_lite``: the command line."""
import sys

from .cli import main

sys.exit(main())
