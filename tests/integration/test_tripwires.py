"""Promise: an import that a kernel would notice is refused, with the reason, and any other is not."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from warm_tables import MODULES

from envsolver.environments.in_environment import random_state, tripwires

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("tripwires")]

PROGRAM = """
import json, runpy, sys

class Nothing:
    def __getattr__(self, name):
        return lambda *_: None

folder, barred, modules, randomness, tripwires = sys.argv[1:]
sys.path[:0] = [folder]
RandomState = runpy.run_path(randomness)["RandomState"]
names = runpy.run_path(tripwires)
wires = names["Tripwires"](RandomState(), Nothing(), Nothing(), Nothing())
wires.expect([barred], silence=True)
streams = sys.stdout, sys.stderr
with wires:
    for name in modules.split():
        try:
            __import__(name)
        except names["Refused"]:
            pass
        wires.check(name)
wires.check_rest()
assert streams == (sys.stdout, sys.stderr) and not hasattr(sys, "ps1")
child = sys.modules["starts_a_process"].child
child.kill()
child.wait()
print(json.dumps(wires.tainted))
"""

SHARED = "its import changes what all share, such as a signal handler or the import path"
OPENED = "its import starts a thread or opens a file"
REASONS = {
    "prints_at_import": "it prints or warns",
    "warns_at_import": "it prints or warns",
    "imports_one_that_prints": "it prints or warns",
    "starts_a_thread": OPENED,
    "starts_a_process": SHARED,
    "opens_a_file": OPENED,
    "asks_for_the_shell": "it asks for the shell's user_ns",
    "handles_a_signal": SHARED,
    "changes_the_path": SHARED,
    "seeds_the_generator": SHARED,
    "draws_an_identifier": "it draws an identifier",
    "logs_to_root": SHARED,
    "barred.inside": "it is excluded",
    "asks_whether_notebook": None,
    "keeps_the_streams": None,
    "has_a_generator": None,
    "looks_for_main": None,
    "says_goodbye": None,
}


@pytest.fixture(scope="module")
def tainted(kernel_env: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return what was refused when a kernel's interpreter imported each module under the tripwires, and why."""
    folder = tmp_path_factory.mktemp("modules")
    for name, source in {**MODULES, "barred": "", "barred.inside": ""}.items():
        place = folder / (f"{name.replace('.', '/')}.py" if name != "barred" else "barred/__init__.py")
        place.parent.mkdir(exist_ok=True)
        place.write_text(source + "\n", encoding="utf-8")
    # One that failed is imported anew by the next that wants it.
    order = " ".join(sorted(REASONS))
    program = [str(kernel_env / "bin/python"), "-c", PROGRAM, str(folder), "barred.inside", order]
    done = subprocess.run(
        [*program, str(random_state.__file__), str(tripwires.__file__)],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
        cwd=folder,
        env={**os.environ, "PYTHONWARNINGS": ""},
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(("name", "reason"), REASONS.items(), ids=REASONS)
def test_what_a_kernel_would_notice_is_refused_with_the_reason(
    tainted: dict[str, str], name: str, reason: str | None
) -> None:
    assert tainted.get(name) == reason
