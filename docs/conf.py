"""The settings of Sphinx; ``tox -e docs`` builds the pages."""
import re

from gemini_lite import __version__

project = "gemini_lite"
author = "gemini_lite authors"
copyright = "gemini_lite authors"
release = version = __version__

extensions = ["sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"gemini_lite {release}"

default_role = "code"  # a name in single backquotes is one of the package's
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the signatures of calls with typed overrides are written out in each docstring
autodoc_preserve_defaults = True
autodoc_default_options = {"members": True, "inherited-members": False}
nitpicky = False
linkcheck_ignore = [r"https?://(?!127\.0\.0\.1)"]  # tests talk to nobody outside; internal links are what is checked


def separate_endings(app, what, name, obj, options, lines):
    """`Tool`s is no markup: reStructuredText wants a mark between a name and what is appended to it."""
    lines[:] = [re.sub(r"(?<!`)(`[^`\s][^`]*`)(?=\w)", r"\1\\ ", line) for line in lines]


def setup(app):
    app.connect("autodoc-process-docstring", separate_endings)
