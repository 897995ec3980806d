"""What one uv command said, and what that means."""

from __future__ import annotations

import re
from dataclasses import dataclass

from envsolver.core.errors import BuildError

_MARKS = "\N{MULTIPLICATION SIGN}╰─▶│├ "
"""What uv draws in front of the lines of a failure."""
_PROGRESS = (
    *("warning:", "Resolved ", "Using ", "No solution found when resolving"),
    *("Updating ", "Updated ", "Building ", "Built ", "Cloning ", "Downloading ", "Prepared "),
)
_NO_VERSION = re.compile(r"there is no version of ([A-Za-z0-9._-]+?)(?:\[[^\]]*\])?==")
_WHEEL_REQUIRED = re.compile(r"Wheels are required for `([^`]+)`")
_NOT_BUILT = ("building from source is disabled", "Building source distributions")
_NO_NETWORK = (
    "network was disabled",
    "error sending request",
    "dns error",
    "tcp connect error",
    "client error (Connect)",
    "Failed to fetch:",
    "network connectivity is disabled",
    "operation timed out",
    "Could not resolve host",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What one uv command said: its exit code, standard output and standard error."""

    code: int
    out: str
    err: str

    @property
    def explanation(self) -> str:
        """Uv's own words about a failure, without its marks and progress lines."""
        return tidy(self.err)

    @property
    def unsolvable(self) -> bool:
        """Whether uv proved that the requirements have no solution, rather than failed to ask."""
        return "No solution found" in self.err and not self.no_network and not self.needs_build

    @property
    def needs_build(self) -> bool:
        """Whether it failed because something would have to be built, and nothing may be."""
        return self.code != 0 and any(mark in self.err for mark in _NOT_BUILT)

    @property
    def without_wheels(self) -> tuple[str, ...]:
        """Packages that only a build would serve, where nothing may be built."""
        return tuple(dict.fromkeys(_WHEEL_REQUIRED.findall(self.err)))

    @property
    def no_network(self) -> bool:
        """Whether the network was out of reach, or switched off."""
        return self.code != 0 and any(mark in self.err for mark in _NO_NETWORK)

    @property
    def missing_releases(self) -> tuple[str, ...]:
        """Packages of which the index, as uv has it, lacks a version that was asked for."""
        return tuple(dict.fromkeys(_NO_VERSION.findall(self.err))) if self.code != 0 else ()

    @property
    def needs_old_tools(self) -> bool:
        """Whether a package's build failed for want of what current build tools no longer bring."""
        return self.code != 0 and "No module named 'pkg_resources'" in self.err


def network_error(answer: Answer) -> BuildError:
    """Return the error for an `answer` that failed because the network is out of reach."""
    return BuildError(
        f"the network is out of reach, or switched off:\n{answer.explanation}",
        tip="What was solved and built before still works; connect, or unset UV_OFFLINE, for anything new.",
    )


def tidy(err: str) -> str:
    """Return uv's words about a failure without its marks, warnings and progress lines."""
    lines: list[str] = []
    for raw in err.splitlines():
        line = raw.strip().lstrip(_MARKS)
        for mark in ("error: ", "cause: "):
            line = line.removeprefix(mark)
        if line and not line.startswith(_PROGRESS):
            lines.append(line)
    return "\n".join(lines)
