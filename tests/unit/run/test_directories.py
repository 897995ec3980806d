"""Promise: a folder of the project that cannot be used is one clear error that says what to do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from envsolver.core.errors import ConfigurationError
from envsolver.core.paths import STATE
from envsolver.run.directories import named_run_directory, new_run_directory, prepare_state


def test_the_files_that_output_goes_to_are_known(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    code = "import sys; from pathlib import Path; from envsolver.run.directories import output_files as found; "
    code += "print(found(Path(sys.argv[1])))"
    with (tmp_path / "logs/run.log").open("w") as log:
        subprocess.run([sys.executable, "-c", code, str(tmp_path)], stdout=log, stderr=subprocess.PIPE, check=True)
    expected = ("logs/run.log",) if sys.platform.startswith("linux") else ()
    assert (tmp_path / "logs/run.log").read_text().strip() == str(expected)


def test_a_plain_file_in_the_place_of_the_state_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / STATE).write_text("mine")
    with pytest.raises(ConfigurationError) as raised:
        prepare_state(tmp_path / STATE)
    assert f"{tmp_path / STATE}: is a file" in raised.value.message
    assert raised.value.tip == "Move or delete the file."
    assert (tmp_path / STATE).read_text() == "mine"


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(28, "No space left on device")])
@pytest.mark.parametrize("make", [prepare_state, new_run_directory, named_run_directory])
def test_a_folder_that_cannot_be_written_is_told(
    make: object, error: OSError, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert callable(make)
    with pytest.raises(ConfigurationError) as raised:
        make(tmp_path / "folder")
    assert raised.value.message == f"{tmp_path / 'folder'}: cannot be written: {error.strerror}"
    assert raised.value.tip


def test_a_plain_file_in_the_place_of_the_runs_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "runs").touch()
    with pytest.raises(ConfigurationError, match="runs: is a file"):
        new_run_directory(tmp_path / "runs")


def test_a_run_never_writes_into_a_folder_that_holds_something(tmp_path: Path) -> None:
    folder = named_run_directory(tmp_path / "array" / "3")
    assert named_run_directory(folder) == folder
    (folder / "results.json").touch()
    with pytest.raises(ConfigurationError, match="is not empty"):
        named_run_directory(folder)
