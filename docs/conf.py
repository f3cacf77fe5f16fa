"""Build the documentation: `make docs`, or rosdoc2."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE_XML = (ROOT / "package.xml").read_text(encoding="utf-8")

project = "deepfer"
author = "deepfer developers"
copyright = author
version = release = re.findall(r"<version>(.+)</version>", PACKAGE_XML)[0]

extensions = ["myst_parser"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
# Links to files of the repository outside docs/ lead there; test/packaging/test_documentation.py
# checks that each exists.
suppress_warnings = ["myst.xref_missing"]
html_theme = "alabaster"
html_theme_options = {"page_width": "1100px", "sidebar_width": "260px"}
