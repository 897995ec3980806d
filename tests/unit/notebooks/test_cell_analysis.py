"""Promise: what a cell imports, installs and sets up is found whatever IPython syntax surrounds it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envsolver.core.notebooks import Origin
from envsolver.notebooks.cell_analysis import analyse_cell
from envsolver.notebooks.findings import CellFindings, NotebookState
from envsolver.notebooks.installs import InstallReader, InstallRequests
from envsolver.notebooks.ipython_syntax import parse_cell


def analyse(*cells: str, cwd: str = "/p/nb") -> CellFindings:
    """Analyse cells one after the other, and return the last one's findings."""
    surroundings = NotebookState(cwd=cwd)
    return [analyse_cell(cell, surroundings) for cell in cells][-1]


def modules(*cells: str) -> list[str]:
    """Return the modules that the last cell imports; a question mark marks optional ones."""
    return [mention.module + "?" * mention.optional for mention in analyse(*cells).mentions]


def installed(source: str, root: Path = Path("/nowhere")) -> InstallRequests:
    """Return what one cell installs."""
    reader = InstallReader(root)
    for command in analyse(source, cwd=str(root)).commands:
        reader.read(command, Origin(path="a.ipynb", cell=1, line=command.line))
    return reader.result


def names(source: str) -> list[str]:
    """Return the requirements that one cell's install lines bind."""
    return [requirement.text for requirement in installed(source).installs]


IMPORTS = [
    ("import a, b.c as d\nfrom e.f import g", ["a", "b.c", "e.f"]),
    ("from . import a\nfrom .b import c", ["", "b"]),
    ("def f():\n    import a\nclass C:\n    import b", ["a", "b"]),
    ("async def f():\n    import a", ["a"]),
    ("for i in x:\n  with y:\n    while z:\n      import a", ["a"]),
    ("match x:\n    case 1:\n        import a", ["a"]),
    ("x = '''\nimport a\n'''\n# import b\nimport c", ["c"]),
    ("import a; import b", ["a", "b"]),
    ("await f()\nimport a", ["a"]),
    ("return 3\nimport a", ["a"]),
    ("  import a\n  import b", ["a", "b"]),
    (">>> import a\n>>> if x:\n...     import b", ["a", "b"]),
    ("In [1]: import a", ["a"]),
    ("import a\r\nimport b\r\n", ["a", "b"]),
    # Names given as texts.
    ("importlib.import_module('a.b')\n__import__('c')\nimport_module(name)", ["a.b", "c"]),
    ("x = [importlib.import_module('a') for _ in y]", ["a"]),
    ("importlib.import_module('.a', 'b')", []),
    # What may be missing.
    ("try:\n  import a\nexcept ImportError:\n  pass", ["a?"]),
    ("try:\n  import a\nexcept ImportError:\n  import b", ["a?", "b?"]),
    ("try:\n  import a\nexcept (ValueError, ModuleNotFoundError) as e:\n  pass\nelse:\n  import b", ["a?", "b?"]),
    ("try:\n  import a\nexcept:\n  pass\nfinally:\n  import b", ["a?", "b"]),
    ("try:\n  import a\nexcept Exception:\n  print('pip install a')", ["a"]),
    ("try:\n  import a.b as c\nexcept ImportError:\n  print('You need to install a.')", ["a.b"]),
    ("try:\n  import a\n  has = True\nexcept ImportError:\n  print('pip install a')", ["a?"]),
    ("try:\n  import a\nexcept ImportError:\n  print('pip install a')\n  a = None", ["a?"]),
    ("try:\n  import a\nexcept ImportError:\n  print('no a')", ["a?"]),
    ("try:\n  import a\nexcept ValueError:\n  pass", ["a"]),
    ("try:\n  import a\nexcept ImportError:\n  raise RuntimeError('install a')", ["a"]),
    ("try:\n  import a\nexcept ImportError:\n  sys.exit(1)", ["a"]),
    ("try:\n  import a\nexcept ImportError:\n  !pip install a\n  import a", ["a", "a"]),
    ("try:\n  import a\nexcept ImportError:\n  %pip install a", ["a"]),
    ("try:\n  import a\nexcept ImportError:\n  os.system('pip install a')", ["a"]),
    ("with contextlib.suppress(ImportError):\n  import a", ["a?"]),
    ("with suppress(ValueError):\n  import a", ["a"]),
    ("if TYPE_CHECKING:\n  import a\nelse:\n  import b", ["b"]),
    ("if typing.TYPE_CHECKING:\n  import a", []),
    ("if False:\n  import a", []),
    ("if 0:\n  import a\nelif x:\n  import b", ["b"]),
    ("if 'google.colab' in sys.modules:\n  import a\nelse:\n  import b", ["a?", "b"]),
    ("if 'google.colab' not in sys.modules:\n  import a\nelse:\n  import b", ["a", "b?"]),
    ("if IN_COLAB:\n  import a", ["a?"]),
    ("if not IN_COLAB:\n  import a\nelse:\n  import b", ["a", "b?"]),
    ("if 'google.colab' in str(get_ipython()):\n  import a", ["a?"]),
    ("if importlib.util.find_spec('a') is None:\n  import b\nelse:\n  import a", ["b?", "a?"]),
    ("if sys.version_info >= (3, 11):\n  import a\nelse:\n  import b", ["a?", "b?"]),
    ("if smoke_test:\n  import a\nelse:\n  import b", ["a", "b"]),
    ("def mount():\n  from google.colab import drive\n  import a", ["google.colab?", "a"]),
    ("from google.colab import drive", ["google.colab"]),
    # IPython's own syntax.
    ("%matplotlib inline\nimport a", ["matplotlib", "a"]),
    ("%pylab inline", ["numpy", "matplotlib"]),
    ("%load_ext autoreload\n%autoreload 2\n%load_ext a.b", ["a.b"]),
    ("!ls\nx = !ls *.py\ny = %env HOME\nimport a", ["a"]),
    ("?f\nf?\nf.g??\n%timeit?\nx = f?\nimport a", ["a"]),
    ("/f 1\n,f 1\n;f 1\nimport a", ["a"]),
    ("x = (1\n% 2\n)\nimport a", ["a"]),
    ("x = f(\n  1,\n  %d\n)\nimport a", ["a"]),
    ("x = 7 \\\n% 3\nimport a", ["a"]),
    ("for f in x:\n    !echo {f}\n    import a", ["a"]),
    ("if x:\n    %time y\nimport a", ["a"]),
    ("%time import a\n%timeit -n 10 -r 3 import b", ["a", "b"]),
    ("print('!') # what?\nimport a\n!ls", ["a"]),
    ("s = '''\n!ls\n%pip install x\n'''\n!ls\nimport a", ["a"]),
    ("ls -l\nimport a", ["a"]),
    ("!echo a \\\n  import b\nimport c", ["c"]),
    # Cell magics.
    ("%%time\nimport a", ["a"]),
    ("\n\n%%time\nimport a", ["a"]),
    ("%%capture out\n%%time\nimport a\n!ls", ["a"]),
    ("%%timeit -n 3 import a\nimport b", ["a", "b"]),
    ("%%bash\nimport a", []),
    ("%%html\n<a>\nimport a", []),
    ("%%javascript\nimport a", []),
    ("%%writefile a.py\nimport b", []),
    ("%%cython\ncimport numpy\nimport a", ["Cython"]),
    ("%%unheard_of\nimport a", []),
    # What no parser takes.
    ("import a\nprint 'python 2'\nfrom b.c import d, e", ["a", "b.c"]),
    ("import a, b.c as d\n((((", ["a", "b.c"]),
    ("try:\n    import a\nexcept: pass\nimport b\nthis is wrong", ["a?", "b"]),
    ("'''\nimport a\n'''\nimport b\nthis is wrong", ["b"]),
    ("", []),
    ("\x00import a", []),
    ("# only a comment", []),
]


@pytest.mark.parametrize(("source", "expected"), IMPORTS, ids=[source for source, _ in IMPORTS])
def test_imports_are_found(source: str, expected: list[str]) -> None:
    assert modules(source) == expected


def test_a_flag_set_to_false_in_an_earlier_cell_makes_its_imports_optional() -> None:
    assert modules("USE_WANDB = False  # a setting", "if USE_WANDB:\n  import a\nelse:\n  import b") == ["a?", "b"]
    assert modules("USE_WANDB = False", "USE_WANDB = True", "if USE_WANDB:\n  import a") == ["a"]
    assert modules("SMOKE = True", "if not SMOKE:\n  import a") == ["a?"]


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("import a", 1),
        ("\n\n%%time\n\nimport a", 5),
        ("!ls \\\n  -l\n\nimport a", 4),
        ("%matplotlib\nx = '''\n\n'''\nimport a", 5),
        ("nonsense here\nimport a", 2),
    ],
)
def test_lines_count_from_the_cells_first(source: str, line: int) -> None:
    assert analyse(source).mentions[-1].line == line


def test_names_taken_out_of_a_module_are_kept() -> None:
    (mention,) = analyse("from google.cloud import storage, bigquery as bq").mentions
    assert mention.names == ("storage", "bigquery")


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


PATHS = [
    ("sys.path.append('..')", ["/p"]),
    ("sys.path.insert(0, '../src')", ["/p/src"]),
    ("sys.path += ['a', 'b']", ["/p/nb/a", "/p/nb/b"]),
    ("sys.path.extend(['a'])", ["/p/nb/a"]),
    ("sys.path.append(os.path.abspath(os.path.join('..', os.pardir)))", ["/"]),
    ("sys.path.append(os.path.dirname(os.getcwd()))", ["/p"]),
    ("sys.path.append(str(Path('..').resolve() / 'lib'))", ["/p/lib"]),
    ("sys.path.append(str(Path.cwd().parent))", ["/p"]),
    ("sys.path.append(str(Path().resolve().parents[1]))", ["/"]),
    ("root = os.path.abspath('..')\nif root not in sys.path:\n  sys.path.append(root + '/lib')", ["/p/lib"]),
    ("site.addsitedir('x')", ["/p/nb/x"]),
    ("os.chdir('..')\nsys.path.append('lib')", ["/p", "/p/lib"]),
    ("%cd ../data\nsys.path.append('x')", ["/p/data", "/p/data/x"]),
    ("sys.path.append('/abs')", ["/abs"]),
    ("sys.path.append(os.environ['X'])", []),
    ("sys.path.append(f'{x}/y')", []),
    ("paths.append('..')", []),
]


@pytest.mark.parametrize(("source", "expected"), PATHS, ids=[source for source, _ in PATHS])
def test_directories_put_on_the_search_path_are_found(source: str, expected: list[str]) -> None:
    surroundings = NotebookState(cwd="/p/nb")
    analyse_cell(source, surroundings)
    assert surroundings.search_path == expected


TAILS = [
    ("sys.path.insert(0, repo_root + '/utils')", ["utils"]),
    ("sys.path.append(os.path.join(root, 'src', 'lib'))", ["src/lib"]),
    ("sys.path.append(str(repo / 'utils'))", ["utils"]),
    ("sys.path.append((here.joinpath('a') / 'b').as_posix())", ["a/b"]),
    ("sys.path.append(f'{root}/utils')", ["utils"]),
    ("sys.path.append('src/' + name)", []),
    ("sys.path.append(root)", []),
    ("sys.path.append('../utils')", []),
]


@pytest.mark.parametrize(("source", "expected"), TAILS, ids=[source for source, _ in TAILS])
def test_what_a_directory_with_an_unknown_beginning_ends_in_is_found(source: str, expected: list[str]) -> None:
    surroundings = NotebookState(cwd="/p/nb")
    analyse_cell(source, surroundings)
    assert surroundings.search_tails == expected


def test_written_files_are_noticed() -> None:
    found = analyse("%%writefile -a helper.py\nimport a\n!pip install b")
    assert (found.written, found.mentions, found.commands) == (["helper.py"], [], [])


@pytest.mark.parametrize(
    ("source", "ran", "imported"),
    [
        ("%run -i ../script.py 3", ["/p/script.py"], []),
        ("%run lib/setup.ipynb", ["/p/nb/lib/setup.ipynb"], []),
        ("%run 'my lib/setup.ipynb'", ["/p/nb/my lib/setup.ipynb"], []),
        ("%cd ..\n%run script", ["/p/script"], []),
        ("%run -t -N 3 script.py", ["/p/nb/script.py"], []),
        ("%run -m a.b c", [], ["a.b"]),
        ("%run", [], []),
    ],
)
def test_what_a_cell_runs_is_noticed(source: str, ran: list[str], imported: list[str]) -> None:
    assert (analyse(source).ran, modules(source)) == (ran, imported)


PIECES = """
import a|%pip install x|!ls|%%time|%%bash|(|)|'''|"|\\|try:|except:|if x:|?|x = !ls|%|!|#|%%writefile|from . import
importlib.import_module(|sys.path.append(|os.environ[|>>> |{|}|$|`|&&|;|pip install|-r|-e|@|://|[|]|~|,
"""
FRAGMENTS = st.sampled_from([*PIECES.replace("\n", "|").split("|"), "|", "\n", "\n    ", "\x00", "\ud800", "\u00e9"])


@given(st.lists(FRAGMENTS | st.text(max_size=5), max_size=14).map("".join))
def test_no_source_makes_the_analysis_fail(source: str) -> None:
    found = installed(source)
    assert all(requirement.text for requirement in found.installs)
    assert all(sentence.startswith("a.ipynb, cell 1") for sentence in found.refused)


@given(st.lists(st.sampled_from(["x = 1", "!ls", "%cd", "if x:\n    !ls", "x?", "y = '''\n!\n'''", ""]), max_size=8))
def test_line_numbers_survive_the_translation(lines: list[str]) -> None:
    source = "\n".join([*lines, "import marker"])
    tree = parse_cell(source).tree
    assert tree is not None
    assert tree.body[-1].lineno == source.count("\n") + 1
