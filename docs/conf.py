"""The documentation site: `make docs` builds it into `build/docs`."""

from __future__ import annotations

from forebay.version import __version__

project = "Forebay"
author = "The Forebay developers"
release = version = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
html_theme = "furo"
html_title = f"Forebay {__version__}"
# Fonts and scripts come with the theme: the pages ask no other host for anything.
html_static_path: list[str] = []
exclude_patterns = ["plots"]
default_role = "code"  # single backticks in docstrings are names of code
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "inherited-members": "dict,Exception,tuple,Mapping"}
autodoc_class_signature = "separated"
napoleon_google_docstring = True
napoleon_use_ivar = True
# Links into the source tree are for readers of the repository; the site has no such pages.
suppress_warnings = ["myst.xref_missing"]
