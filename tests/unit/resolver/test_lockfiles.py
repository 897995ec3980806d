"""A lock file serves all platforms, is told stale without uv, and names no address and no path."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes import FakeUv, Question, refused, solved

from envsolver.config.tables import config_of
from envsolver.core.environments import Group, Interpreter
from envsolver.core.errors import BuildError, ConfigurationError, UnsolvableError
from envsolver.core.settings import Config, GroupSettings
from envsolver.environments.uv_output import Answer
from envsolver.resolver.groups import read_group
from envsolver.resolver.lockfiles import check, inputs, inspect, lock_path, lowest_python, read_lock, select, write_lock

PYTHON = Interpreter(request="3.11", executable="/bin/python", version="3.11.7", platform="cpython-linux-x86_64")
UNIVERSAL = """\
# words
appnope==1 ; sys_platform == 'elsewhere' \\
    --hash=sha256:00
    # via ipykernel
numpy==1 ; python_full_version < '3.11' \\
    --hash=sha256:11
numpy==2 ; python_full_version >= '3.11' \\
    --hash=sha256:22 \\
    --hash=sha256:33
    # via -r a.in
six==1 \\
    --hash=sha256:44
"""


class LockWriter:
    """Writes a lock where it is told to, and keeps what the file held before."""

    def __init__(self) -> None:
        self.before = ""

    def __call__(self, question: Question) -> Answer:
        output = Path(question.option("-o"))
        self.before = output.read_text(encoding="utf-8")
        output.write_text(UNIVERSAL, encoding="utf-8")
        return solved("")


def project(root: Path, text: str = "numpy\n", **settings: object) -> tuple[Config, Group]:
    (root / "requirements").mkdir(exist_ok=True)
    (root / "requirements" / "a.in").write_text(text, encoding="utf-8")
    config = config_of({"root": root, "python": ("3.11", "3.10", "3.12"), **settings})
    return config, read_group(config, "a")


def test_a_written_lock_is_fresh_and_is_read_for_this_platform(tmp_path: Path) -> None:
    config, group = project(tmp_path)
    assert inspect(config, group).state == "missing"
    assert read_lock(config, group, PYTHON) is None
    assert write_lock(config, group, PYTHON, uv=FakeUv(tmp_path, LockWriter()))
    assert inspect(config, group).state == "fresh"
    lock = read_lock(config, group, PYTHON)
    assert lock is not None
    assert [(p.name, p.version) for p in lock.packages] == [("numpy", "2"), ("six", "1")]


def test_a_lock_is_made_for_all_platforms_from_the_lowest_python_on(tmp_path: Path) -> None:
    config, group = project(tmp_path, exclude_newer="2026-01-01")
    uv = FakeUv(tmp_path, LockWriter())
    write_lock(config, group, PYTHON, uv=uv)
    assert uv.asked[0].options[:3] == ("--universal", "--python-version", "3.10")
    assert uv.asked[0].option("--exclude-newer") == "2026-01-01"


def test_a_second_write_keeps_the_versions_and_changes_nothing(tmp_path: Path) -> None:
    config, group = project(tmp_path)
    writer = LockWriter()
    uv = FakeUv(tmp_path, writer)
    write_lock(config, group, PYTHON, uv=uv)
    assert not write_lock(config, group, PYTHON, uv=uv)
    assert "numpy==2" in writer.before


@pytest.mark.parametrize(
    ("given", "arguments"),
    [
        ({"upgrade": True}, ["--upgrade"]),
        ({"upgrade_packages": ["six", "numpy"]}, ["--upgrade-package", "six", "--upgrade-package", "numpy"]),
    ],
)
def test_upgrades_are_passed_on(tmp_path: Path, given: dict[str, object], arguments: list[str]) -> None:
    config, group = project(tmp_path)
    uv = FakeUv(tmp_path, LockWriter())
    write_lock(config, group, PYTHON, uv=uv, **given)  # type: ignore[arg-type]  # a table of keywords
    assert [option for option in uv.asked[0].options if "upgrade" in option or option in {"six", "numpy"}] == arguments


@pytest.mark.parametrize("change", ["requirements", "nested", "python", "exclude_newer", "uv.toml"])
def test_a_lock_is_stale_once_its_inputs_have_changed(tmp_path: Path, change: str) -> None:
    (tmp_path / "limits.txt").write_text("six<2\n", encoding="utf-8")
    text = "numpy\n-c ../limits.txt\n"
    config, group = project(tmp_path, text)
    write_lock(config, group, PYTHON, uv=FakeUv(tmp_path, LockWriter()))
    settings: dict[str, object] = {}
    if change == "requirements":
        text += "scipy\n"
    elif change == "nested":
        (tmp_path / "limits.txt").write_text("six<3\n", encoding="utf-8")
    elif change == "uv.toml":
        (tmp_path / "uv.toml").write_text("resolution = 'lowest'\n", encoding="utf-8")
    else:
        settings[change] = ("3.9",) if change == "python" else "2026-01-01"
    config, group = project(tmp_path, text, **settings)
    with pytest.raises(ConfigurationError, match=r"requirements/a\.txt is stale") as caught:
        read_lock(config, group, PYTHON)
    assert "envsolver lock" in caught.value.tip


def test_the_same_project_elsewhere_has_the_same_inputs(tmp_path: Path) -> None:
    found = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "pyproject.toml").write_text("[project]\nname = 'mine'\n", encoding="utf-8")
        config, group = project(tmp_path / name, "numpy\n-e .\n")
        found.append(inputs(config, group))
    assert found[0] == found[1]


def test_settings_of_one_machine_do_not_make_a_lock_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, group = project(tmp_path)
    before = inputs(config, group)
    monkeypatch.setenv("UV_INDEX_STRATEGY", "unsafe-best-match")
    assert inputs(config, group) == before


def test_a_group_that_has_opted_out_has_no_lock_file(tmp_path: Path) -> None:
    config, group = project(tmp_path, groups={"a": {"lock": False}})
    (tmp_path / "requirements" / "a.txt").write_text("somebody else's\n", encoding="utf-8")
    assert read_lock(config, group, PYTHON) is None
    check(config, [group])


def test_check_lists_every_lock_that_is_not_fresh(tmp_path: Path) -> None:
    config, group = project(tmp_path)
    (tmp_path / "requirements" / "b.in").write_text("six\n", encoding="utf-8")
    other = read_group(config, "b")
    write_lock(config, other, PYTHON, uv=FakeUv(tmp_path, LockWriter()))
    (tmp_path / "requirements" / "b.in").write_text("six<9\n", encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        check(config, [group, read_group(config, "b")])
    assert caught.value.faults == (
        "group a has no lock file requirements/a.txt",
        "requirements/b.txt is stale: what group b is locked from has changed since",
    )


@pytest.mark.parametrize(
    ("err", "kind"),
    [
        ("No solution found when resolving\nBecause numpy", UnsolvableError),
        ("Failed to build x", BuildError),
        ("Failed to fetch: x", BuildError),
    ],
)
def test_a_lock_that_cannot_be_made_leaves_the_old_one(tmp_path: Path, err: str, kind: type[Exception]) -> None:
    config, group = project(tmp_path)
    write_lock(config, group, PYTHON, uv=FakeUv(tmp_path, LockWriter()))
    before = (tmp_path / "requirements" / "a.txt").read_text(encoding="utf-8")
    with pytest.raises(kind):
        write_lock(config, group, PYTHON, uv=FakeUv(tmp_path, refused(err)))
    assert (tmp_path / "requirements" / "a.txt").read_text(encoding="utf-8") == before


@pytest.mark.parametrize(
    ("file", "path"),
    [("requirements/a.in", "requirements/a.txt"), ("deps.txt", "deps.lock.txt"), ("deps", "deps.txt")],
)
def test_a_lock_file_stands_beside_its_source(file: str, path: str) -> None:
    assert lock_path(Group(name="a", file=file)) == path


def test_only_what_this_interpreter_needs_is_kept_without_markers() -> None:
    assert select(UNIVERSAL, PYTHON).splitlines() == [
        "numpy==2 \\",
        "    --hash=sha256:22 \\",
        "    --hash=sha256:33",
        "six==1 \\",
        "    --hash=sha256:44",
    ]


@pytest.mark.parametrize(
    ("requires_python", "lowest"), [(None, "3.10"), (">=3.11", "3.11"), (">=3.11.2", "3.11"), (">=3.13", "3.10")]
)
def test_the_lowest_python_is_the_lowest_of_the_matrix_that_the_group_supports(
    requires_python: str | None, lowest: str
) -> None:
    config = Config(python=("3.12", "3.10", "3.11"), groups={"a": GroupSettings(requires_python=requires_python)})
    assert lowest_python(config, Group(name="a", file="", requires_python=requires_python)) == lowest
