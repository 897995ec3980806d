"""Promise: what a cell installs binds, whatever way it asks, and what cannot be had is refused with its place."""

from __future__ import annotations

from pathlib import Path

import pytest
from cell_reading import analyse, installed

from envsolver.core.notebooks import Origin
from envsolver.notebooks.installs import InstallReader

PIP = [
    ("%pip install a", ["a"]),
    ("!pip install a b>=1.2,<3", ["a", "b>=1.2,<3"]),
    ('%pip install "pybamm[plot,cite]" -q    # install PyBaMM if it is not installed', ["pybamm[plot,cite]"]),
    ("%pip install -q pybamm[plot,cite]", ["pybamm[plot,cite]"]),
    ("!pip3 install -qU a --upgrade --user --no-cache-dir --progress-bar off --quiet", ["a"]),
    ("!pip install --pre a 'b[x]<3'", ["--pre", "a", "b[x]<3"]),
    ("!uv pip install --prerelease=allow a", ["--pre", "a"]),
    ("!pip install --dry-run a", []),
    ("!pip install --quie a --no-cache", ["a"]),
    ("%pip install git+https://github.com/x/y.git@main", ["git+https://github.com/x/y.git@main"]),
    ("%pip install -e git+https://x.org/y#egg=y", ["y @ git+https://x.org/y"]),
    ("!pip install 'git+https://x.org/y@v1#egg=y[z]&subdirectory=p'", ["y[z] @ git+https://x.org/y@v1#subdirectory=p"]),
    ("!pip install 'git+https://x.org/y#subdirectory=p&egg=y'", ["y @ git+https://x.org/y#subdirectory=p"]),
    ("%pip install a@git+ssh://git@x.org/y", ["a @ git+ssh://git@x.org/y"]),
    ("%pip install 'a[b] @ https://x.org/a.zip'", ["a[b] @ https://x.org/a.zip"]),
    ("%pip install https://x.org/a-1.0.whl b", ["https://x.org/a-1.0.whl", "b"]),
    ("!pip3.11 install 'a==1'", ["a==1"]),
    ("!python -m pip install a", ["a"]),
    ("!{sys.executable} -m pip install a", ["a"]),
    ("!$PYTHON -m pip --quiet install a", ["a"]),
    ("!/usr/bin/python3 -I -m pip install a", ["a"]),
    ("!uv pip install --system a\n%uv pip install b", ["a", "b"]),
    ("pip install a", ["a"]),
    ("%pip install a \\\n  b \\\n  c\nimport d", ["a", "b", "c"]),
    ("!pip install a && pip install b; pip install c | tail -1", ["a", "b", "c"]),
    ("!apt-get install -y x && pip install a", ["a"]),
    ("!pip install a > /dev/null 2>&1", ["a"]),
    ("!pip install a &> log.txt", ["a"]),
    ("!FOO=1 sudo pip install a", ["a"]),
    (
        "%pip install a -i https://x/simple --extra-index-url=https://y -f https://z --trusted-host h --no-binary a",
        ["a", "--index-url https://x/simple", "--extra-index-url https://y", "--find-links https://z", "--no-binary a"],
    ),
    ("%pip install \"a; python_version<'3.9'\"", ["a; python_version<'3.9'"]),
    ("%pip install a a", ["a"]),
    ("%%bash\npip install a \\\n  b\n# pip install c\necho x", ["a", "b"]),
    ("%%capture\n!pip install a", ["a"]),
    ("%%sh\nset -e; pip install a", ["a"]),
    ("%%script bash\npip install a", ["a"]),
    ("x = !pip install a", ["a"]),
    ("!!pip install a\n%sx pip install b\n%system pip install c", ["a", "b", "c"]),
    ("get_ipython().system('pip install a')\nget_ipython().run_line_magic('pip', 'install b')", ["a", "b"]),
    ("os.system('pip install a')\nsubprocess.run('pip install b', shell=True)", ["a", "b"]),
    (
        "subprocess.check_call([sys.executable, '-m', 'pip', 'install', 'a', '-q'])\npip.main(['install', 'b'])",
        ["a", "b"],
    ),
    ("this is broken (\n!pip install a", ["a"]),
    ("def setup():\n    !pip install a", ["a"]),
    ("!pip uninstall -y a\n!pip list\n!pip install\n!pip download b\n!pipenv install c\n!npm install d", []),
    ("# !pip install a", []),
    ("print('!pip install a')", []),
    ("'''\n!pip install a\n'''", []),
    ("%%html\npip install a", []),
]


@pytest.mark.parametrize(("source", "expected"), PIP, ids=[source for source, _ in PIP])
def test_install_lines_bind_what_they_name(source: str, expected: list[str]) -> None:
    found = installed(source)
    assert [requirement.text for requirement in found.installs] == expected
    assert found.refused == []


GUARDED = [
    "if 'google.colab' in sys.modules:\n  %pip install a",
    "if IN_COLAB:\n  !pip install a",
    "if not is_installed('a'):\n  !pip install a",
    "if smoke_test:\n  !pip install a",
    "try:\n  import a\nexcept ImportError:\n  !pip install a",
    "try:\n  import google.colab\n  %pip install a\nexcept Exception:\n  pass",
    "!python -c 'import a' || pip install a",
    "%%bash\nif ! python -c 'import a'; then\n  pip install a\nfi",
    "!conda install -y -c conda-forge a=1.2",
    "%conda install conda-forge::a",
    "!mamba install a -n base",
]


@pytest.mark.parametrize("source", GUARDED)
def test_what_a_condition_guards_binds_nothing_and_is_remembered(source: str) -> None:
    found = installed(source)
    assert found.installs == []
    assert [requirement.text for requirement in found.guarded] == ["a"]


REFUSED = [
    ("%pip install hg+https://x.org/y", "only the addresses of archives and of git's repositories"),
    ("%pip install 'a @ ftp://x.org/a.zip'", "only the addresses of archives and of git's repositories"),
    ("%pip install ./a-1.0-py3-none-any.whl", "there is no such archive"),
    ("%pip install ../../a-1.0.tar.gz", "outside of the project"),
    ("%pip install {name}", "only known when the notebook runs"),
    ("%pip install a==$version", "only known when the notebook runs"),
    ("!pip install -r {folder}/requirements.txt", "only known when the notebook runs"),
    ("subprocess.run([sys.executable, '-m', 'pip', 'install', package])", "only known when the notebook runs"),
    ("%pip install a,", "not a requirement"),
    ("%pip install -e .", "no project in that directory"),
    ("%pip install ../..", "outside of the project"),
    ("%pip install -r missing.txt", "there is no such file"),
    ("%pip install -r ../../x.txt", "outside of the project"),
    ("%pip install -r https://x.org/r.txt", "put the file in the project"),
    ("%pip install -c https://x.org/c.txt", "put the file in the project"),
    ("%pip install -c missing.txt", "there is no such file"),
    ("%pip install -f wheels", "no such directory for --find-links"),
    ("%pip install --only-deps", '"--only-deps" cannot be installed: an environment holds all that its packages need'),
    ("%pip install -t libs", '"-t" cannot be installed: it installs elsewhere'),
    ("%pip install --target=libs", "it installs elsewhere"),
    ("%pip install --python-version 3.9", "another interpreter"),
    ("%pip install --no-sources", "a setting of [tool.uv] in pyproject.toml"),
    ("!uv pip install --resolution=lowest", "which versions are chosen"),
    ("%pip install --extra dev", "-e .[extra]"),
    ("%pip install --group dev", "there is no such file"),
    ("!cd nowhere && pip install .", "no project in that directory"),
    ("%pip install --frobnicate", '"--frobnicate" cannot be installed: neither pip nor uv'),
    ("%pip install -qZ", '"-Z" cannot be installed: neither pip nor uv'),
]


@pytest.mark.parametrize(("source", "reason"), REFUSED, ids=[source for source, _ in REFUSED])
def test_what_cannot_be_installed_is_refused_with_place_and_reason(tmp_path: Path, source: str, reason: str) -> None:
    root = tmp_path / "project"
    root.mkdir()
    found = installed(source, root)
    (refused,) = found.refused
    assert refused.startswith("a.ipynb, cell 1, line 1: ")
    assert reason in refused
    assert found.installs == []


def test_what_a_condition_guards_is_never_refused() -> None:
    found = installed("if IN_COLAB:\n  !pip install --target x git+https://x.org/y b -c no.txt")
    assert found.refused == []
    assert [requirement.text for requirement in found.guarded] == ["b"]


def test_one_refused_word_does_not_lose_the_others() -> None:
    found = installed("%pip install a hg+https://x.org/b c")
    assert [requirement.text for requirement in found.installs] == ["a", "c"]
    assert len(found.refused) == 1


def test_each_requirement_knows_its_line() -> None:
    found = installed("import x\n%pip install a\n%pip install b \\\n  c")
    assert [str(requirement.origin) for requirement in found.installs] == [
        "a.ipynb, cell 1, line 2",
        "a.ipynb, cell 1, line 3",
        "a.ipynb, cell 1, line 3",
    ]
    (bash,) = installed("%%bash\n\necho\npip install a").installs
    assert bash.origin.line == 4


def test_files_of_requirements_are_read_with_their_own_places(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text(
        "# all of them\n-r sub/more.txt\na>=1 # why\nb \\\n  ==2\n--index-url https://x/\nc --hash=sha256:0\n-e .\n"
    )
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "more.txt").write_text("d[x]; python_version > '3'\n-r ../requirements.txt\n")
    (tmp_path / "pyproject.toml").touch()
    found = installed("%pip install -q -r requirements.txt", tmp_path)
    assert found.refused == []
    assert [(requirement.text, str(requirement.origin)) for requirement in found.installs] == [
        ("d[x]; python_version > '3'", "sub/more.txt:1"),
        ("a>=1", "requirements.txt:3"),
        ("b ==2", "requirements.txt:4"),
        ("--index-url https://x/", "requirements.txt:6"),
        ("c", "requirements.txt:7"),
        ("-e .", "requirements.txt:8"),
    ]


@pytest.mark.parametrize(
    "source",
    [
        "!cd .. && pip install .",
        "!pushd ..; pip install -q -e .",
        "%cd ..\n%pip install .",
        "import os\nos.chdir('..')\n!pip install --no-deps .",
        "%%bash\ncd sub/..\ncd ..\npip install --no-build-isolation -e .",
        "!cd /nowhere\n!cd .. && pip install .",
    ],
)
def test_what_is_installed_is_looked_for_where_the_command_runs(source: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    reader = InstallReader(tmp_path)
    for command in analyse(source, cwd=str(tmp_path / "nb")).commands:
        reader.read(command, Origin(path="nb/a.ipynb", cell=1, line=command.line))
    assert ([requirement.text for requirement in reader.result.installs], reader.result.refused) == (["-e ."], [])


@pytest.mark.parametrize(
    "named", ["--group nb", "--group=NB", "--group pyproject.toml:nb", "--group sub/pyproject.toml:nb"]
)
def test_what_a_dependency_group_asks_for_is_asked_for(named: str, tmp_path: Path) -> None:
    groups = '[dependency-groups]\nless = ["b>=2"]\nnb = ["a", {include-group = "less"}]\n'
    for place in (tmp_path, tmp_path / "sub"):
        place.mkdir(exist_ok=True)
        (place / "pyproject.toml").write_text(groups, encoding="utf-8")
    assert [r.text for r in installed(f"!pip install {named}", tmp_path).installs] == ["a", "b>=2"]


@pytest.mark.parametrize(
    ("named", "shown"),
    [
        *((name, f"pyproject.toml:{name}") for name in ("other", "odd", "round", "{name}")),
        ("../x.toml:nb", "../x.toml:nb"),
    ],
)
def test_a_dependency_group_that_cannot_be_read_is_refused(named: str, shown: str, tmp_path: Path) -> None:
    groups = '[dependency-groups]\nodd = [1]\nround = [{include-group = "round"}]\n'
    (tmp_path / "pyproject.toml").write_text(groups, encoding="utf-8")
    (refused,) = installed(f"%pip install --group {named}", tmp_path).refused
    assert refused.startswith(f'a.ipynb, cell 1, line 1: "--group {shown}" cannot be installed: ')


def test_bounds_are_kept_wherever_they_are_named(tmp_path: Path) -> None:
    (tmp_path / "bounds.txt").write_text("idna<3  # old\nsix==1.16.0\n", encoding="utf-16")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "r.txt").write_text("-c ../more.txt\nidna\n", encoding="utf-8")
    (tmp_path / "more.txt").write_text("idna!=2.9\n", encoding="utf-8")
    found = installed("!pip install -c bounds.txt idna\n%pip install -r sub/r.txt", tmp_path)
    assert found.refused == []
    assert [(r.text, str(r.origin)) for r in found.installs] == [
        ("-c idna<3", "bounds.txt:1"),
        ("-c six==1.16.0", "bounds.txt:2"),
        ("idna", "a.ipynb, cell 1, line 1"),
        ("-c idna!=2.9", "more.txt:1"),
    ]


def test_places_that_packages_come_from_are_found_from_the_file_that_names_them(tmp_path: Path) -> None:
    (tmp_path / "sub" / "my wheels").mkdir(parents=True)
    (tmp_path / "sub" / "r.txt").write_text("-f 'my wheels'\n", encoding="utf-8")
    (line,) = installed("!pip install -r sub/r.txt", tmp_path).installs
    assert line.text == f"--find-links {tmp_path.as_uri()}/sub/my%20wheels"


def test_archives_of_the_project_are_kept_relative_to_the_root(tmp_path: Path) -> None:
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "a-1.0-py3-none-any.whl").touch()
    (kept,) = installed("!pip install dist/a-1.0-py3-none-any.whl", tmp_path).installs
    assert kept.text == "./dist/a-1.0-py3-none-any.whl"


def test_the_projects_own_directories_are_kept_relative_to_the_root(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "setup.py").touch()
    (tmp_path / "lib" / "pyproject.toml").touch()
    found = installed("%pip install -e .[test] ./lib", tmp_path)
    assert [requirement.text for requirement in found.installs] == ["-e .[test]", "-e ./lib"]
