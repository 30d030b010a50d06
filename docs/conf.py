"""Settings of the documentation site, which `make docs` builds."""

project = "RveRNet pipeline"
author = "RveRNet pipeline maintainers"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "tools.docs_site"]
exclude_patterns = ["images"]

myst_heading_anchors = 4
default_role = "code"  # docstrings write `name` as Markdown does
highlight_language = "none"
smartquotes = False  # options begin with two hyphens
autodoc_member_order = "bysource"
autodoc_typehints = "signature"

html_theme = "furo"
html_title = project
html_copy_source = False
html_show_copyright = False
html_show_search_summary = False  # a page opened as a file may not fetch others
