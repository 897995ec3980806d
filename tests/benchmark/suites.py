"""The suites of notebooks that are timed, made anew in an empty project."""

from __future__ import annotations

import random
import shutil
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


TRAIN = """\
model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 1))
optimizer = torch.optim.Adam(model.parameters())
model(torch.ones(4, 8)).square().mean().backward()
optimizer.step()"""
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
    "torch": (
        "import torch\nfrom torch import nn",
        TRAIN,
    ),
}
PACKAGES = ["numpy>=2", "matplotlib", "scipy", "torch==2.13.0"]
"""What the heads import. The version of torch is pinned, so that a build for the processor can be offered."""


def mixed(project: Path) -> list[str]:
    """Write 40 notebooks that import numpy, matplotlib, scipy or torch and compute for 0.2 to 20 s, 8 in a folder."""
    randomness = random.Random(20)  # the same suite each time
    for number in range(40):
        head, body = HEADS[[*HEADS][number % len(HEADS)]]
        seconds = min(20.0, 0.2 * 100 ** randomness.random() ** 2)
        work = (
            f"import time\nend = time.process_time() + {seconds:.2f}\ntotal = 0\n"
            "while time.process_time() < end:\n    total += sum(range(2000))"
        )
        write(project / f"notebooks/part{number % 5}/n{number:02d}.ipynb", [head, body, work, "assert total >= 0"])
    return PACKAGES


def imports(project: Path) -> list[str]:
    """Write the part of `mixed` where imports are most of the work: 20 notebooks of scipy and torch."""
    for number in range(20):
        head, body = HEADS["torch" if number % 2 else "scipy"]
        write(project / f"notebooks/n{number:02d}.ipynb", [head, body, "assert 1 + 1 == 2"])
    return PACKAGES


DEMOS = Path(__file__).parents[2] / "demos"
SERVED = ("papers", "umbridge")
"""Folders of demos that no single environment can run: one needs an old stack, the other a server."""


def demos(project: Path) -> list[str]:
    """Copy this repository's demos that one big environment can run."""
    shutil.copytree(DEMOS, project / "notebooks", ignore=shutil.ignore_patterns(*SERVED, "*_on_gpu.ipynb", "figures"))
    requirements = DEMOS.parent / "requirements"
    lines = [line for name in ("core", "ml") for line in (requirements / f"{name}.in").read_text().splitlines()]
    return sorted({line for line in lines if line and not line.startswith("#")})


SUITES: dict[str, Callable[[Path], list[str]]] = {
    "steady": steady,
    "imports": imports,
    "mixed": mixed,
    "trivial": trivial,
    "demos": demos,
}
"""Each writes its notebooks below a directory and returns what they need installed."""


def write(path: Path, cells: list[str]) -> None:
    """Write a notebook with these code cells."""
    path.parent.mkdir(parents=True, exist_ok=True)
    notebook = new_notebook(cells=[new_code_cell(source) for source in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, path)


def notebooks(project: Path) -> Iterator[Path]:
    """Yield a suite's notebooks in the order of their names."""
    yield from sorted((project / "notebooks").rglob("*.ipynb"))
