"""uv is found, run and understood; interpreters are seen through."""

from __future__ import annotations

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from envsolver.core.errors import BuildError, ConfigurationError, InterruptedRunError
from envsolver.environments.interpreters import find_interpreter
from envsolver.environments.uv import Uv
from envsolver.environments.uv_output import Answer, network_error, tidy
from envsolver.environments.uv_settings import building, read_settings

BASE = os.path.realpath(sys.executable)  # what virtualenvs are made from


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def fake_uv(tmp_path: Path, text: str, cache: Path | None = None) -> Uv:
    return Uv(tmp_path, cache=cache, executable=str(script(tmp_path / "bin" / "uv", text)))


@pytest.mark.parametrize(
    "err",
    [
        "error: No solution found when resolving dependencies\n  cause: Because a and b,\n         we conclude.\n",
        "  \N{MULTIPLICATION SIGN} No solution found when resolving:\n  ╰─▶ Because a and b,\n      we conclude.\n",
        "   Updating https://host/x.git (HEAD)\n   Building x @ file:///x\nBecause a and b,\nwe conclude.",
        "warning: a shim is broken\nResolved 3 packages in 1ms\nBecause a and b,\nwe conclude.",
    ],
)
def test_an_explanation_is_uvs_words_without_marks_and_warnings(err: str) -> None:
    assert tidy(err) == "Because a and b,\nwe conclude."


def test_a_missing_solution_is_told_from_a_missing_network() -> None:
    text = "No solution found when resolving dependencies\n  cause: Because six was not found in the cache"
    assert Answer(code=1, out="", err=text).unsolvable
    offline = Answer(code=1, out="", err=f"{text}\nhint: unavailable because the network was disabled.")
    assert offline.no_network
    assert not offline.unsolvable
    error = network_error(offline)
    assert isinstance(error, BuildError)
    assert "the network is out of reach" in error.message


def test_every_command_runs_in_the_root_and_is_counted(tmp_path: Path) -> None:
    uv = fake_uv(tmp_path, 'pwd; echo "$@"')
    answer = uv.run(["pip", "list"])
    assert answer.out.splitlines() == [os.path.realpath(tmp_path), "pip list"]
    assert uv.calls == 1


def test_the_users_settings_reach_uv_but_not_what_names_another_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_INDEX_STRATEGY", "unsafe-best-match")
    monkeypatch.setenv("UV_SYSTEM_PYTHON", "1")
    uv = fake_uv(tmp_path, 'echo "$UV_INDEX_STRATEGY:$UV_SYSTEM_PYTHON"')
    assert uv.run([]).out == "unsafe-best-match:\n"


def test_a_uv_that_cannot_be_run_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="uv cannot be run"):
        Uv(tmp_path, executable=str(tmp_path / "none")).version()


def test_without_uv_the_tip_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uv", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError) as caught:
        Uv(tmp_path).version()
    assert "pip install uv" in caught.value.tip


def test_stop_ends_running_commands_and_refuses_new_ones(tmp_path: Path) -> None:
    uv = fake_uv(tmp_path, "echo started > started; exec sleep 60")
    errors: list[BaseException] = []

    def work() -> None:
        try:
            uv.run([])
        except InterruptedRunError as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    while not (tmp_path / "started").exists():
        thread.join(0.01)
    uv.stop()
    thread.join(30)
    assert not thread.is_alive()
    assert len(errors) == 1
    with pytest.raises(InterruptedRunError):
        uv.run([])


def test_an_interpreter_is_seen_through_a_shim_and_asked_only_once(tmp_path: Path) -> None:
    shim = script(tmp_path / "shims" / "python3", f'exec "{sys.executable}" "$@"')
    uv = fake_uv(tmp_path, f'echo "warning: a broken shim" >&2; echo "{shim}"', cache=tmp_path / "cache")
    found = find_interpreter(uv, "3")
    assert os.path.realpath(found.executable) == BASE
    assert found.version == ".".join(map(str, sys.version_info[:3]))
    assert found.minor == ".".join(map(str, sys.version_info[:2]))
    assert find_interpreter(uv, "3") == found
    assert uv.calls == 1


@pytest.mark.parametrize("what", ["file", "variable"])
def test_an_interpreter_is_asked_again_when_what_it_depends_on_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    shim = script(tmp_path / "shims" / "python3", f'exec "{sys.executable}" "$@"')
    uv = fake_uv(tmp_path, f'echo "{shim}"', cache=tmp_path / "cache")
    find_interpreter(uv, "3")
    if what == "file":
        script(shim, f'# changed\nexec "{sys.executable}" "$@"')
    else:
        monkeypatch.setenv("PYENV_VERSION", "3.99")
    find_interpreter(uv, "3")
    assert uv.calls == 2


def test_a_missing_interpreter_is_an_error_with_a_tip(tmp_path: Path) -> None:
    uv = fake_uv(tmp_path, 'echo "error: No interpreter found for Python 3.99" >&2; exit 2')
    with pytest.raises(ConfigurationError, match=r"no Python 3\.99 was found") as caught:
        find_interpreter(uv, "3.99")
    assert "uv python install 3.99" in caught.value.tip


def test_a_broken_shim_does_not_hide_an_interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for version in ("3.9.2", "3.10.1", "mambaforge"):
        script(tmp_path / "pyenv" / "versions" / version / "bin" / "python", f'exec "{sys.executable}" "$@"')
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.setenv("PATH", f"{tmp_path}/pyenv/shims:/usr/bin:/bin")
    uv = fake_uv(
        tmp_path,
        'case "$PATH" in *shims*) echo "error: Failed to inspect" >&2; exit 2;; esac; '
        f'echo "$PATH" > "{tmp_path}/path"; '
        'echo "${PATH##/usr/bin:/bin:}" | cut -d: -f1 | sed s,$,/python,',
    )
    assert find_interpreter(uv, "3.10").minor == ".".join(map(str, sys.version_info[:2]))
    homes = (tmp_path / "path").read_text(encoding="utf-8").strip().split(":")[2:]
    assert [Path(home).parent.name for home in homes] == ["3.10.1", "3.9.2", "mambaforge"]


def test_an_interpreter_that_does_not_run_is_an_error(tmp_path: Path) -> None:
    broken = script(tmp_path / "python3", "exit 3")
    with pytest.raises(ConfigurationError, match="does not run"):
        find_interpreter(fake_uv(tmp_path, f'echo "{broken}"'), "3")


def test_settings_hold_variables_files_and_tables_but_no_credentials(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.uv]\nresolution = 'lowest'\n", encoding="utf-8")
    (tmp_path / "limits.txt").write_text("six<1\n", encoding="utf-8")
    environ = {
        "UV_CONSTRAINT": "limits.txt",
        "UV_OFFLINE": "1",
        "UV_INDEX_HOME_PASSWORD": "secret",
        "UV_CACHE_DIR": "/tmp",  # noqa: S108 never opened
        "PATH": "/bin",
        "HOME": str(tmp_path),
    }
    found = read_settings(tmp_path, environ)
    found = {name: value for name, value in found.items() if not name.startswith("system ")}
    assert found == {
        "UV_CONSTRAINT": "limits.txt",
        "UV_CONSTRAINT limits.txt": "six<1\n",
        "project resolution": '"lowest"',
    }


def test_a_uv_toml_goes_before_the_table_in_pyproject(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.uv]\nresolution = 'lowest'\n", encoding="utf-8")
    (tmp_path / "uv.toml").write_text("no-binary = true\n", encoding="utf-8")
    found = read_settings(tmp_path, {"HOME": str(tmp_path)})
    assert "project resolution" not in found
    assert building(found) == {"project no-binary": "true"}


def test_without_configuration_files_uvs_own_switch_is_honoured(tmp_path: Path) -> None:
    (tmp_path / "uv.toml").write_text("no-binary = true\n", encoding="utf-8")
    assert read_settings(tmp_path, {"HOME": str(tmp_path), "UV_NO_CONFIG": "1"}) == {"UV_NO_CONFIG": "1"}


def test_a_release_newer_than_the_remembered_index_is_looked_up_again(tmp_path: Path) -> None:
    uv = fake_uv(
        tmp_path,
        'case "$*" in *"--refresh-package six --refresh-package a.b"*) exit 0;; esac\n'
        "echo '  x No solution found' >&2\n"
        "echo '  ╰─▶ Because there is no version of six==9.9 and there is no version of a.b[c]==1, no.' >&2\n"
        "exit 1",
    )
    uv.sync(tmp_path / "env", tmp_path / "lock.txt", require_hashes=False)
    assert uv.calls == 2


def test_a_release_that_does_not_exist_is_told_in_uvs_words(tmp_path: Path) -> None:
    uv = fake_uv(tmp_path, "echo 'Because there is no version of six==9.9, no.' >&2; exit 1")
    with pytest.raises(BuildError, match=r"there is no version of six==9\.9"):
        uv.sync(tmp_path / "env", tmp_path / "lock.txt", require_hashes=False)
    assert uv.calls == 2


@pytest.mark.parametrize(("given", "bounded"), [("", 1), ("mine.txt", 2)])
def test_a_build_that_needs_what_current_tools_dropped_gets_older_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, bounded: int
) -> None:
    monkeypatch.setenv("UV_BUILD_CONSTRAINT", given)
    complaint = "echo \"ModuleNotFoundError: No module named 'pkg_resources'\" >&2; exit 1"
    uv = fake_uv(
        tmp_path,
        f'set -- $UV_BUILD_CONSTRAINT; [ $# -eq {bounded} ] || {{ {complaint}; }}; shift $(($# - 1)); cat "$1"',
    )
    assert uv.compile([], python="python").out == "setuptools<82\n"
    assert uv.calls == 2


def test_a_build_that_older_tools_do_not_help_either_tells_its_own_failure(tmp_path: Path) -> None:
    uv = fake_uv(tmp_path, "echo \"$UV_BUILD_CONSTRAINT: No module named 'pkg_resources'\" >&2; exit 1")
    answer = uv.compile([], python="python")
    assert (answer.code, answer.err) == (1, ": No module named 'pkg_resources'\n")


def test_threads_that_ask_at_once_where_uv_is_have_it_looked_for_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []

    def find() -> str:
        looked.append("here")
        threading.Event().wait(0.05)  # long enough for the others to ask too
        return "/bin/uv"

    monkeypatch.setattr("uv.find_uv_bin", find)
    door = Uv(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: door.executable, range(8)))
    assert (set(found), looked) == ({"/bin/uv"}, ["here"])


def test_what_uv_says_while_it_installs_is_heard_before_it_ends(tmp_path: Path) -> None:
    """Uv goes on only once its line was heard, and its other words are kept for the error."""
    uv = fake_uv(
        tmp_path,
        f"echo '   Building slow==1' >&2; n=0; until [ -e {tmp_path}/heard ]; do sleep 0.1; "
        "n=$((n + 1)); [ $n -lt 100 ] || exit 3; done; echo 'error: no compiler' >&2; exit 1",
    )
    heard: list[str] = []

    def hear(line: str) -> None:
        heard.append(line.strip())
        (tmp_path / "heard").touch()

    with pytest.raises(BuildError) as error:
        uv.sync(tmp_path / "env", tmp_path / "lock.txt", require_hashes=False, hear=hear)
    assert error.value.message == "no compiler"
    assert heard == ["Building slow==1", "error: no compiler"]
