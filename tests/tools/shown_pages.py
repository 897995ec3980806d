"""What the pages show: the files that they name, and the commands with the lines that each prints."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fakes import write_notebook

ROOT = Path(__file__).parents[2]
PAGES = (
    ROOT / "README.md",
    *sorted((ROOT / ".github").glob("*.md")),
    *(page for page in sorted((ROOT / "docs").rglob("*.md")) if not {"_build", "generated"} & set(page.parts)),
)
_SHELLS = ("console", "shell", "bash")
_BLOCK = re.compile(r"(?:`([\w./-]+)`:\n\n)?^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class File:
    """A file that a page names above a block: its path, and its text."""

    path: str
    text: str


@dataclass(kw_only=True)
class Step:
    """A command, and the lines that the page shows below it."""

    command: str
    shown: list[str] = field(default_factory=list)

    @property
    def code(self) -> int:
        """The exit code that goes with what is shown."""
        fails = re.compile(r"[1-9]\d* failed\b|newly broken: [1-9]|\.ipynb F\b")
        return int(any(fails.search(line) for line in self.shown))


def name_of(page: Path) -> str:
    """Return a page's path from the project's root."""
    return page.relative_to(ROOT).as_posix()


def parts(page: Path) -> list[File | Step]:
    """Return a page's files and commands, in their order."""
    found: list[File | Step] = []
    for path, language, text in _BLOCK.findall(page.read_text(encoding="utf-8")):
        if path:
            found.append(File(path=path, text=text))
        elif language in _SHELLS or text.startswith("$ "):
            found += steps(text)
    return found


def steps(block: str) -> list[Step]:
    """Return a block's commands: those after a ``$``, with what follows each, or every line where there is none."""
    if not block.startswith("$ "):
        return [Step(command=line) for line in block.splitlines() if line]
    found: list[Step] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append(Step(command=line[2:]))
        elif line and line != "...":
            found[-1].shown.append(line)
    return found


def blocks(page: Path, language: str) -> list[str]:
    """Return a page's blocks of a language."""
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def write(root: Path, file: File) -> None:
    """Write a file that a page shows; of a notebook the page shows the cells, divided by lines ``# %%``."""
    place = root / file.path
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.suffix == ".ipynb":
        write_notebook(root, file.path, *(cell.strip("\n") for cell in file.text.split("# %%\n")))
    else:
        place.write_text(file.text, encoding="utf-8")


def plain(line: str) -> str:
    """Return a line without what differs between runs: times, sizes, versions, places, the order of notebooks."""
    line = re.sub(r"^\[\s*\d+/", "", line)
    line = re.sub(r"/[\w./-]*bin/\w+|/\S+/(?=\.envsolver|docs/|demos/)", "", line)
    line = re.sub(r"\d{4}-\d\d-\d\d(?:T[\d-]+| \d\d:\d\d)?", "THEN", line)
    line = re.sub(r"\b[\d.]+ (?:ms|s|min|h)\b(?: [\d.]+ (?:ms|s|min)\b)?", "TIME", line)
    line = re.sub(r"\b[\d.]+ (?:B|[KMGT]i?B)\b", "SIZE", line)
    line = re.sub(r"\b\d+(?:\.\w+)+", "VERSION", line)
    line = re.sub(r"\b\d+(?= (?:packages|at once|times))", "N", line)
    return " ".join(line.split())


def missing(shown: Sequence[str], output: str) -> list[str]:
    """Return the lines that are shown and were not printed; one that ends in ``...`` is the beginning of one."""
    real = {plain(line) for line in output.splitlines()}
    begins = [line for line in shown if line.endswith("...")]
    wrong = [line for line in begins if not any(each.startswith(plain(line[:-3])) for each in real)]
    return wrong + [line for line in shown if line not in begins and plain(line) not in real]


STAND_INS = Path(__file__).with_name("stand_ins.sh")
"""Shell functions in place of installers, nox and the schedulers of clusters."""

_MARK = "== step"


def play(
    steps: Sequence[Step], folder: Path, environment: Mapping[str, str], seconds: float
) -> Iterator[tuple[int, str]]:
    """Run commands in one shell, and yield of each its exit code and all that it printed."""
    script = [f". '{STAND_INS}'"]
    for step in steps:
        script += [f"echo '{_MARK}'", "{", step.command, "} 2>&1; code=$?", f'echo; echo "{_MARK} $code"']
    done = subprocess.run(
        ["/bin/bash"],
        input="\n".join(script),
        cwd=folder,
        env={**environment, "ROOT": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=seconds,
    )
    found = re.findall(rf"^{_MARK}\n(.*?)^{_MARK} (\d+)\n", done.stdout, re.DOTALL | re.MULTILINE)
    assert len(found) == len(steps), done.stdout
    yield from ((int(code), output) for output, code in found)
