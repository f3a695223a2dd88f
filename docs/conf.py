"""How Sphinx makes the site of these pages: ``sphinx-build docs build/site``, or ``tox -e docs``.

It needs no network, neither to be built nor to be read: fonts and scripts come with the theme.
"""

import re

from sphinx.application import Sphinx

from phonic_fsm import __version__

project = "phonic-fsm"
release = __version__
author = "The phonic-fsm contributors"
project_copyright = author

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["*.py"]
root_doc = "index"

myst_heading_anchors = 4
# DuckDB's SQL has more than Pygments knows of SQL.
suppress_warnings = ["misc.highlighting_failure"]

autoclass_content = "both"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 80

html_theme = "furo"
html_title = "phonic-fsm"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False


def draw_mermaid(app: Sphinx, docname: str, source: list[str]) -> None:
    """Put the drawing in the place of its Mermaid text.

    A forge draws Mermaid by itself. A page would need a script of three megabytes to do it.
    """
    drawing = "![The states and what leads from one to another](state-diagram.svg)"
    source[0] = re.sub(r"```mermaid\n.*?```", drawing, source[0], flags=re.DOTALL)


def setup(app: Sphinx) -> None:
    app.connect("source-read", draw_mermaid)
