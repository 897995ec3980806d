"""Sphinx builds the site by this: `nox -s docs`. What the code says is written into reference/generated first."""

from __future__ import annotations

import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS))

from demo_pages import write_demos  # noqa: E402  it stands beside this file
from reference_pages import write_pages  # noqa: E402  so does this

from envsolver import __version__  # noqa: E402  only the path is set before

project = "envsolver"
release = __version__
html_title = f"envsolver {release}"
html_theme = "furo"

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_click", "sphinxcontrib.mermaid"]
exclude_patterns = ["_build", "reference/generated", "demos/generated/overview.md"]
nb_execution_mode = "off"  # they were executed by the run that they come from
myst_heading_anchors = 3
myst_fence_as_directive = ["mermaid"]
# Links out are followed on GitHub alone; these addresses are examples.
linkcheck_ignore = [r"http://127\.0\.0\.1"]

write_pages(DOCS / "reference" / "generated")
write_demos(DOCS.parent, DOCS / "demos" / "generated")
