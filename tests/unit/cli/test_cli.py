"""Promises of the command line: quick help, clear errors, the exit code of each kind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from click.testing import CliRunner
from fakes import envsolver
from nbformat.v4 import new_code_cell, new_notebook

from envsolver.cli.main import cli, main
from envsolver.core.errors import EnvsolverError
from envsolver.resolver.lockfiles import not_locked

HEAVY = ("parsl", "pydantic", "nbformat", "nbclient", "rich", "jinja2", "asyncio", "zmq")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "envsolver.toml").write_text("")
    return tmp_path


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom envsolver.cli.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as end:\n    assert end.code == 0\n"
        f"loaded = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_every_fault_of_the_configuration_is_told_with_its_place_and_exit_code_2(root: Path) -> None:
    (root / "envsolver.toml").write_text(
        'timeout = "soon"\n[groups.ml]\ncores = 0\n[notebook."gone.ipynb"]\nskip = "x"\n'
    )
    done = envsolver(root, "list")
    assert done.returncode == 2
    for place in ("timeout", "groups.ml.cores", "gone.ipynb", "requirements/ml.in"):
        assert place in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("text", ["101%", "-1", "nan", "many", "%"])
def test_what_is_no_percentage_is_a_usage_error(root: Path, text: str) -> None:
    done = envsolver(root, "run", "--verify-warm", text)
    assert done.returncode == 2
    assert f"'{text}' is no percentage from 0% to 100%." in done.stderr


def test_a_usage_error_has_exit_code_2(root: Path) -> None:
    assert envsolver(root, "run", "--no-such-option").returncode == 2


def test_nothing_to_run_has_exit_code_3(root: Path) -> None:
    done = envsolver(root, "run")
    assert done.returncode == 3
    assert done.stderr.startswith("envsolver: error:")


def test_what_the_system_refuses_is_one_clear_error(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "/some/file")

    monkeypatch.setattr("envsolver.run.project.open_project", refuse)
    with pytest.raises(SystemExit) as ended:
        main(["-C", str(root), "list"])
    assert ended.value.code == 1
    assert "/some/file: Permission denied" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (RuntimeError("can't start new thread"), "can't start new thread (`ulimit -u`,"),
        (BlockingIOError(11, "Resource temporarily unavailable"), "Resource temporarily unavailable (`ulimit -u`,"),
    ],
)
def test_a_thread_or_a_process_too_many_is_one_clear_error(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], raised: Exception, said: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr("envsolver.run.project.open_project", refuse)
    with pytest.raises(SystemExit) as ended:
        main(["-C", str(root), "list"])
    assert ended.value.code == 1
    assert said in capsys.readouterr().err


def test_a_faulty_requirement_is_told_with_file_and_line(root: Path) -> None:
    (root / "requirements").mkdir()
    (root / "requirements/base.in").write_text("# fine\nnumpy >< 2\n-r missing.in\n")
    nbformat.write(new_notebook(cells=[new_code_cell("x = 1")]), root / "a.ipynb")
    done = envsolver(root, "list")
    assert done.returncode == 2
    assert "requirements/base.in:2" in done.stderr
    assert "missing.in" in done.stderr


def test_the_schema_is_a_json_schema(root: Path) -> None:
    schema = json.loads(envsolver(root, "schema").stdout)
    assert "cell-timeout" in schema["properties"]


def test_without_a_run_there_is_no_report(root: Path) -> None:
    assert envsolver(root, "report", "--no-open").returncode == 3


def test_nothing_is_said_of_proxies_while_parsl_is_imported_on_its_thread(tmp_path: Path) -> None:
    said = "SOCKS support in urllib3 requires the installation of optional dependencies"
    for name in ("__init__", "dataflow/__init__", "dataflow/dflow", "executors", "providers"):
        (tmp_path / f"parsl/{name}.py").parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"parsl/{name}.py").write_text(f"import warnings\nwarnings.warn({said!r})\n")
    code = (
        "from envsolver.run.parsl.prestart import ParslPrestart\n"
        "start = ParslPrestart()\nstart.begin()\nstart.wait()\nstart.stop()\n"
        "import parsl\nprint(parsl.__file__)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert (done.stdout.strip(), done.stderr) == (str(tmp_path / "parsl/__init__.py"), "")


@pytest.mark.parametrize(
    ("options", "everything", "packages"),
    [
        ([], False, ()),
        (["--upgrade"], True, ()),
        (["--upgrade", "-g", "a"], True, ()),
        (["--upgrade", "six"], False, ("six",)),
        (["-P", "six", "-P", "numpy"], False, ("six", "numpy")),
    ],
)
def test_a_lock_is_upgraded_as_a_whole_or_by_package(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    everything: bool,
    packages: tuple[str, ...],
) -> None:
    asked: list[tuple[object, object]] = []

    def write_lock(*_: object, upgrade: bool, upgrade_packages: tuple[str, ...], **__: object) -> bool:
        asked.append((upgrade, upgrade_packages))
        (tmp_path / "requirements/a.txt").write_text("numpy==2\nsix==1\n")
        return False

    monkeypatch.setattr("envsolver.resolver.lockfiles.write_lock", write_lock)
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements/a.in").write_text("six\n")
    (tmp_path / "envsolver.toml").write_text('notebooks = ["*.ipynb"]\n')
    done = CliRunner().invoke(cli, ["-C", str(tmp_path), "lock", *options], catch_exceptions=False)
    assert "requirements/a.txt: unchanged" in done.output
    assert asked == [(everything, packages)]


def test_a_package_that_no_lock_has_is_not_upgraded_in_silence(tmp_path: Path) -> None:
    lock = tmp_path / "a.txt"
    lock.write_text("# a comment\nscikit-learn==1.5 \\\n    --hash=sha256:00\nsix==1\n")
    assert not_locked([lock], ["Scikit_Learn", "six<2", "sixx", "hash"]) == ["sixx", "hash"]


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ("one thing\nin two lines", "envsolver: error: one thing\nin two lines\n"),
        ("- one\n- two", "envsolver: error:\n- one\n- two\n"),
    ],
)
def test_an_error_begins_on_its_first_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, message: str, says: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise EnvsolverError(message)

    monkeypatch.setattr("envsolver.run.project.open_project", fail)
    with pytest.raises(SystemExit):
        main(["list"])
    assert capsys.readouterr().err == says
