"""How Sphinx builds these pages: ``sphinx-build docs build/docs``, with sphinx and myst-parser."""

project = "MTOR"
copyright = "The MTOR contributors"  # noqa: A001 - Sphinx's name for it
extensions = ["myst_parser"]
# Headings can be linked to, in Sphinx as in any viewer of Markdown.
myst_heading_anchors = 3
html_title = "MTOR"
html_theme = "alabaster"
