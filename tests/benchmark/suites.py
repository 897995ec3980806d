"""The suites of notebooks that are timed, made anew in an empty project."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

TOOLS = ["nbclient", "nbmake", "pytest", "pytest-xdist", "parsl"]
"""What the other runners need inside the environment."""


def steady(project: Path) -> list[str]:
    """Write 12 notebooks of one second each: what is left beside the work is overhead."""
    for number in range(12):
        write(project / f"notebooks/n{number:02d}.ipynb", ["import time", "time.sleep(1.0)", "assert 1 + 1 == 2"])
    return []


def trivial(project: Path) -> list[str]:
    """Write 200 notebooks with nothing to do: the overhead per notebook."""
    for number in range(200):
        write(project / f"notebooks/n{number:03d}.ipynb", [f"x = {number}", f"assert x == {number}"])
    return []


HEADS = {
    "numpy": ("import numpy as np", "np.linalg.svd(np.random.default_rng(0).random((200, 200)))"),
    "plot": (
        "import numpy as np\nimport matplotlib.pyplot as plt",
        "plt.plot(np.sin(np.arange(1000)))\nplt.savefig('figure.png')\nplt.close()",
    ),
    "scipy": (
        "import numpy as np\nfrom scipy import integrate, optimize, stats",
        "assert abs(integrate.quad(np.exp, 0, 1)[0] - (np.e - 1)) < 1e-9",
    ),
}


def mixed(project: Path) -> list[str]:
    """Write 40 notebooks that import numpy, matplotlib or scipy and compute for 0.2 to 20 s, several in a folder."""
    randomness = random.Random(20)  # the same suite each time
    kinds = [*HEADS] * 14
    for number in range(40):
        head, body = HEADS[kinds[number]]
        seconds = min(20.0, 0.2 * 100 ** randomness.random() ** 2)
        work = (
            f"import time\nend = time.process_time() + {seconds:.2f}\ntotal = 0\n"
            "while time.process_time() < end:\n    total += sum(range(2000))"
        )
        write(project / f"notebooks/part{number % 5}/n{number:02d}.ipynb", [head, body, work, "assert total >= 0"])
    return ["numpy>=2", "matplotlib", "scipy"]


SUITES: dict[str, Callable[[Path], list[str]]] = {"steady": steady, "mixed": mixed, "trivial": trivial}
"""Each writes its notebooks below a directory and returns what they need installed."""


def write(path: Path, cells: list[str]) -> None:
    """Write a notebook with these code cells."""
    path.parent.mkdir(parents=True, exist_ok=True)
    notebook = new_notebook(cells=[new_code_cell(source) for source in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, path)


def notebooks(project: Path) -> Iterator[Path]:
    """Give a suite's notebooks in the order of their names."""
    yield from sorted((project / "notebooks").rglob("*.ipynb"))
