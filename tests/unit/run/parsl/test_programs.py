"""Promise: Parsl's programs work as they do by themselves, start sooner, and workers share one import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from envsolver.run.parsl import programs
from envsolver.run.parsl.lean_import import lean


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True)


def test_the_pool_takes_the_arguments_of_parsls_own() -> None:
    done = python(str(Path(programs.__file__)), "pool", "--help")
    assert "--max_workers_per_node" in done.stdout
    assert done.stderr == ""


def test_what_workers_share_can_be_imported() -> None:
    # The fork server passes over what it cannot import, and every worker would import it again.
    names = ["envsolver.worker.run_job", "nbclient", "parsl.executors.execute_task", programs.PROGRAMS["pool"]]
    code = f"import sys, {programs.SHARED}; print([name in sys.modules for name in {names}])"
    # Were the pool's program among them, it would be run a second time, with a warning.
    assert python("-c", code).stdout == "[True, True, True, False]\n"


def test_parsl_goes_without_checks_of_its_own_calls_and_others_keep_theirs(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("""
import typeguard
from envsolver.run.parsl.lean_import import lean
with lean():
    import parsl.executors
    assert typeguard.typechecked(len) is typeguard.typechecked(forward_refs_policy=None)(len) is len
@typeguard.typechecked
def f(x: int) -> int:
    return x
try:
    f("text")
except typeguard.TypeCheckError:
    print("checked")
""")
    assert python(str(script)).stdout == "checked\n"


@pytest.mark.parametrize("database", [False, True])
def test_the_library_of_a_database_is_imported_only_where_one_is_written(database: bool) -> None:
    code = f"""
import sys
from envsolver.run.parsl.lean_import import lean
with lean(database={database}):
    import parsl.monitoring
print("sqlalchemy" in sys.modules)
import sqlalchemy
"""
    assert python("-c", code).stdout == f"{database}\n"


def test_checks_come_back_when_an_import_fails() -> None:
    import typeguard

    before = typeguard.typechecked
    with pytest.raises(ModuleNotFoundError), lean():
        __import__("no_such_module_at_all")
    assert typeguard.typechecked is before
