"""Sphinx builds the site by this: `nox -s docs`. What the code says is written into reference/generated first."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from docutils.nodes import SkipNode
from latex2mathml.converter import convert

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS))

from demo_pages import write_demos  # noqa: E402  it stands beside this file
from reference_pages import write_pages  # noqa: E402  so does this

from envsolver import __version__  # noqa: E402  only the path is set before

project = "envsolver"
release = __version__
html_title = f"envsolver {release}"
html_theme = "furo"
html_show_copyright = False
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_click", "sphinxcontrib.mermaid"]
exclude_patterns = ["_build", "reference/generated", "demos/generated/overview.md"]
nb_execution_mode = "off"  # they were executed by the run that they come from
myst_heading_anchors = 3
myst_enable_extensions = ["amsmath", "dollarmath"]
myst_fence_as_directive = ["mermaid"]
# Links out are followed on GitHub alone; these addresses are examples.
linkcheck_ignore = [r"http://127\.0\.0\.1"]

write_pages(DOCS / "reference" / "generated")
write_demos(DOCS.parent, DOCS / "demos" / "generated")


def setup(app: Any) -> None:
    """Have formulas drawn as MathML, which browsers do by themselves: the site asks nobody for a script."""

    def draw(display: str) -> Any:
        def visit(translator: Any, node: Any) -> None:
            translator.body.append(convert(node.astext(), display=display))
            raise SkipNode

        return visit, None

    app.add_html_math_renderer("mathml", draw("inline"), draw("block"))
