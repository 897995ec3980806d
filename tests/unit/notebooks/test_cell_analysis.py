"""Promise: what a cell imports and sets up is found whatever IPython syntax surrounds it."""

from __future__ import annotations

import pytest
from cell_reading import analyse, installed, modules
from hypothesis import given
from hypothesis import strategies as st

from envsolver.notebooks.cell_analysis import analyse_cell
from envsolver.notebooks.findings import NotebookState
from envsolver.notebooks.ipython_syntax import parse_cell

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
