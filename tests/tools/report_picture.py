"""As a program: write the README's picture of the report, from a run's folder or its results.json."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from report_browser import find_browser, started_browser

from envsolver.report.html import write_html
from envsolver.report.results_json import read_results

PICTURE = Path(__file__).parents[2] / ".github" / "report.png"
WIDTH, HEIGHT = 1120, 900


def main(run: Path) -> None:
    """Take the picture; the run itself is left as it is."""
    program = find_browser()
    if program is None:
        sys.exit("no Chromium is installed to take the picture with")
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory, "run")
        folder.mkdir()
        shutil.copy(run / "results.json" if run.is_dir() else run, folder / "results.json")
        page = write_html(read_results(folder))
        with started_browser(program, Path(directory, "profile")) as browser:
            browser.resize(WIDTH, HEIGHT)
            browser.call("Emulation.setScrollbarsHidden", hidden=True)
            browser.open(page.as_uri())
            # A page that was laid out with a scroll bar is laid out anew.
            browser.evaluate("document.documentElement.style.overflow = 'hidden'")
            browser.screenshot(PICTURE, whole=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
