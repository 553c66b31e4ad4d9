"""How Sphinx makes the site of these pages: `make docs`. Nothing is fetched, neither now nor by a page in a browser."""

import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from generate import write_pages  # noqa: E402

from cytoyolo.machine import __version__  # noqa: E402

project = "cytoyolo"
author = "the authors of cytoyolo"
version = release = __version__
project_copyright = "the authors of cytoyolo; AGPL-3.0-or-later"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 4
exclude_patterns = ["_build"]
# Blocks of pages are calls, their output and YAML, and are shown as they are.
highlight_language = "none"
# Sentences of the program are found by their own characters.
smartquotes = False
# Docstrings write code in single backticks.
default_role = "code"

# A link that leads nowhere stops the build (`make docs` turns warnings into errors). Types of other libraries have no
# page here, so they are no links.
nitpicky = True
nitpick_ignore_regex = [("py:.*", ".*")]

autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_preserve_defaults = True
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = "cytoyolo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False

# Pages that are made from the program, so that they can't be out of date.
write_pages(HERE / "reference")


def for_everybody(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Say the level of the headings in lists of pages, and let the keyboard reach blocks and tables that must be
    scrolled."""
    for part in ("body", "furo_navigation_tree"):
        if part in context:
            html = context[part].replace('role="heading"', 'role="heading" aria-level="2"')
            html = html.replace("<pre>", '<pre tabindex="0">')
            context[part] = html.replace('<div class="table-wrapper', '<div tabindex="0" class="table-wrapper')


def setup(app: Any) -> None:
    app.connect("html-page-context", for_everybody, priority=900)
