"""Promise: what a notebook reads is seen, by whatever means it reads, and nothing that it did not read counts.

The judge is made-up projects: any single change must show in exactly the notebooks that depend on it.
"""

from __future__ import annotations

import os
import platform
import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from envsolver.core.fingerprints import Fingerprint, Reading, difference
from envsolver.core.jobs import Binding, Job, Limits
from envsolver.run.contents import Contents
from envsolver.worker.isolation import CHOICE, choose_isolation
from envsolver.worker.run_job import run_job

pytestmark = [
    pytest.mark.integration,
    pytest.mark.xdist_group("reading"),
    pytest.mark.timeout(900),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere the whole project counts"),
]

CHANGES = int(os.environ.get("ENVSOLVER_TEST_CHANGES", "150"))

FILES = {
    "data/plain.csv": "1,2\n",
    "data/native.db": "text of a file that C reads",
    "data/child.txt": "for a child",
    "data/python_child.txt": "for another",
    "data/script.sh": "#!/bin/sh\ncat ../data/by_script.txt\n",
    "data/by_script.txt": "for a script",
    "data/by_system.txt": "for a shell",
    "data/by_spawn.txt": "for a program",
    "data/unread.csv": "nobody reads it",
    "many/one.txt": "12",
    "many/two.txt": "2",
    "lib/outer.py": "import inner\nVALUE = inner.VALUE\n",
    "lib/inner.py": "VALUE = 1\n",
    "lib/apart.py": "VALUE = 2\n",
    "nb/near.py": "VALUE = 3\n",
    "pkg/__init__.py": "",
    "pkg/used.py": "VALUE = 4\n",
    "pkg/unused.py": "VALUE = 5\n",
    "tools/tool.py": "import near_tool\ntry:\n    import maybe_tool\nexcept ImportError:\n    pass\n",
    "tools/near_tool.py": "VALUE = 6\n",
    "tools/killed.py": "import os, near_tool\nos._exit(0)\n",
    "target/real.csv": "linked",
    "target/other.csv": "not yet linked",
}
LINKS = {"data/link.csv": "../target/real.csv"}
NOTEBOOKS = {
    "plain": "open('../data/plain.csv').read()",
    "native": (
        "import ctypes\nc = ctypes.CDLL(None)\nc.fopen.restype = ctypes.c_void_p\n"
        "assert c.fopen(b'../data/native.db', b'r')"
    ),
    "child": "import subprocess\nsubprocess.run(['cat', '../data/child.txt'], check=True)",
    "system": "import os\nassert os.system('cat ../data/by_system.txt') == 0",
    "spawn": "import os\nos.waitpid(os.posix_spawn('/bin/cat', ['cat', '../data/by_spawn.txt'], {}), 0)",
    "shell": "!cat ../data/child.txt ../data/absent_for_shell.txt",
    "python_child": (
        "import subprocess, sys\n"
        "subprocess.run([sys.executable, '-c', \"open('../data/python_child.txt')\"], check=True)"
    ),
    "spawned": (
        "import multiprocessing, os\n"
        "process = multiprocessing.get_context('spawn').Process(target=os.stat, args=('.',))\n"
        "process.start()\nprocess.join()\nassert process.exitcode == 0"
    ),
    "script": "!../data/script.sh",
    "forked": (
        "import multiprocessing\ndef work(_):\n    try:\n        import forked_maybe\n"
        "    except ImportError:\n        pass\n"
        "with multiprocessing.get_context('fork').Pool(1) as pool:\n    pool.map(work, [1])"
    ),
    "listing": "import os\nos.listdir('../many')",
    "glob": "import glob\nglob.glob('../many/*.txt')",
    "child_listing": "!ls ../many",
    "absent": "import os\nos.path.exists('../data/absent.csv')",
    "absent_path": "from pathlib import Path\nPath('../data/absent.csv').is_file()",
    "absent_open": "try:\n    open('../data/absent.csv')\nexcept OSError:\n    pass",
    "near": "import near",
    "modules": "import sys\nsys.path.insert(0, '../lib')\nimport outer",
    "package": "import sys\nsys.path.insert(0, '..')\nfrom pkg import used",
    "optional": "try:\n    import maybe\nexcept ImportError:\n    maybe = None",
    "by_name": "import importlib\ntry:\n    importlib.import_module('maybe')\nexcept ImportError:\n    pass",
    "found": "import importlib.util\nimportlib.util.find_spec('maybe')",
    "found_below": "import importlib.util, sys\nsys.path.append('..')\nimportlib.util.find_spec('pkg.maybe')",
    "found_by_path": "import importlib.machinery\nimportlib.machinery.PathFinder.find_spec('maybe', ['.'])",
    "found_in_folder": "import pkgutil\npkgutil.get_importer('.').find_spec('maybe')",
    "found_twice": (
        "import importlib, importlib.util\nimportlib.invalidate_caches()\n"
        "importlib.util.find_spec('maybe_not')\nimportlib.util.find_spec('maybe')"
    ),
    "run_by_name": "import runpy\ntry:\n    runpy.run_module('maybe')\nexcept ImportError:\n    pass",
    "script_of_python": (
        "import subprocess, sys\nsubprocess.run([sys.executable, '../tools/tool.py'], check=True)\n"
        "subprocess.run([sys.executable, '../tools/tool.py'], check=True)"
    ),
    "script_that_is_killed": "import subprocess, sys\nsubprocess.run([sys.executable, '../tools/killed.py'])",
    "script_and_listing": "import subprocess, sys\nsubprocess.run([sys.executable, '../tools/tool.py'])\n!ls ../tools",
    "link": "open('../data/link.csv').read()",
    "native_link": (
        "import ctypes\nc = ctypes.CDLL(None)\nc.fopen.restype = ctypes.c_void_p\n"
        "assert c.fopen(b'../data/link.csv', b'r')"
    ),
    "writes": "open('made.txt', 'w').write('x')\nopen('made.txt').read()",
    "size": "import os\nos.path.getsize('../data/plain.csv')",
    "resolves": (
        "import os, subprocess, sys, tempfile\nos.path.realpath(tempfile.gettempdir())\n"
        "code = 'import os, tempfile; os.path.realpath(tempfile.gettempdir())'\n"
        "subprocess.run([sys.executable, '-I', '-c', code], check=True)"
    ),
    "nothing": "1 + 1",
}
MAYBE = {
    "optional", "by_name", "found", "found_by_path", "found_in_folder", "found_twice", "run_by_name",
}  # fmt: skip
TOOL, TOOL_LISTS = {"script_of_python", "script_and_listing"}, {"script_that_is_killed", "script_and_listing"}
LISTS = {"listing", "glob", "child_listing"}
ABSENT = {"absent", "absent_path", "absent_open"}
LINKED = {"link", "native_link"}


@dataclass(frozen=True)
class Change:
    """A change of a project, and the notebooks that must run for it."""

    path: str
    make: Callable[[Path], object]
    dependents: set[str]


def _rewrite(path: Path) -> None:
    path.write_text(path.read_text() + "\n# more\n")


def _same_size(path: Path) -> None:
    path.write_text(path.read_text()[::-1])


def _point_to(target: str) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        path.unlink()
        path.symlink_to(target)

    return make


def _new(text: str = "") -> Callable[[Path], object]:
    return lambda path: path.write_text(text)


READERS: dict[str, set[str]] = {
    "data/plain.csv": {"plain", "size"},
    "data/native.db": {"native"},
    "data/child.txt": {"child", "shell"},
    "data/python_child.txt": {"python_child"},
    "data/script.sh": {"script"},
    "data/by_script.txt": {"script"},
    "data/by_system.txt": {"system"},
    "data/by_spawn.txt": {"spawn"},
    "data/unread.csv": set(),
    "many/one.txt": set(),
    "lib/outer.py": {"modules"},
    "lib/inner.py": {"modules"},
    "lib/apart.py": set(),
    "nb/near.py": {"near"},
    "pkg/__init__.py": {"package", "found_below"},
    "tools/tool.py": TOOL,
    "tools/near_tool.py": TOOL | {"script_that_is_killed"},
    "tools/killed.py": {"script_that_is_killed"},
    "pkg/used.py": {"package"},
    "pkg/unused.py": set(),
    "target/real.csv": LINKED,
    "target/other.csv": set(),
}
ALL_CHANGES = [
    *(Change(path, _rewrite, who) for path, who in READERS.items()),
    *(Change(path, _same_size, who - {"size"}) for path, who in READERS.items() if "__init__" not in path),
    *(Change(path, lambda p: p.touch(), set()) for path in READERS),
    *(
        Change(path, lambda p: p.unlink(), who)
        for path, who in READERS.items()
        if path.split("/")[0] not in {"many", "tools"}
    ),
    Change("many/one.txt", lambda p: p.unlink(), LISTS),
    Change("many/three.txt", _new(), LISTS),
    Change("tools/tool.py", lambda p: p.unlink(), TOOL | TOOL_LISTS),
    Change("data/absent.csv", _new(), ABSENT),
    Change("data/absent_for_shell.txt", _new(), {"shell"}),
    Change("data/whatever.csv", _new(), set()),
    Change("nb/whatever.csv", _new(), set()),
    Change("nb/whatever.py", _new(), set()),
    Change("nb/maybe.py", _new(), MAYBE),
    Change("nb/maybe", lambda p: p.mkdir(), MAYBE),
    Change("pkg/maybe.py", _new(), {"found_below"}),
    Change("tools/maybe_tool.py", _new(), TOOL | TOOL_LISTS),
    Change("tools/subprocess.py", _new(), TOOL_LISTS),
    Change("tools/atexit.txt", _new(), TOOL_LISTS),
    Change("nb/forked_maybe.py", _new(), {"forked"}),
    Change("lib/near.py", _new(), set()),
    Change("lib/ctypes.py", _new(), set()),
    Change("nb/inner.py", _new(), {"modules"}),
    Change("pkg/used", lambda p: p.mkdir(), {"package"}),
    Change("nb/made.txt", _new("before"), set()),
    Change("data/link.csv", _point_to("../target/other.csv"), LINKED),
    Change("data/link.csv", lambda p: p.unlink(), LINKED),
    Change("nb/plain.ipynb", _rewrite, set()),  # its own text is no reading: it is compared cell by cell
]


def build(root: Path) -> None:
    for path, text in FILES.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
        (root / path).chmod(0o755 if path.endswith(".sh") else 0o644)
    for path, target in LINKS.items():
        (root / path).symlink_to(target)
    for name, source in NOTEBOOKS.items():
        nbformat.write(new_notebook(cells=[new_code_cell(source)]), root / f"nb/{name}.ipynb")


_CHILD = "import subprocess, sys\nsubprocess.run([sys.executable, '-c', {!r}])".format
UNFOLLOWED = "and what that reads could not be followed"
# What is not followed, or goes where nothing is seen: a cell, and what is said of it.
UNSEEN = {
    "own_function": (
        "import subprocess\nsubprocess.run(['/bin/true'], preexec_fn=lambda: None)",
        f"started /bin/true, {UNFOLLOWED}",
    ),
    "own_spawn": (
        "import os, posix\nos.waitpid(posix.posix_spawn('/bin/true', ['true'], {}), 0)",
        "started a program in a way that could not be followed",
    ),
    "connected": (
        _CHILD("import socket; socket.socket().connect_ex(('127.0.0.1', 9))"),
        "opened a connection to 127.0.0.1, port 9",
    ),
    "sent": (
        _CHILD("import socket; socket.socket(type=2).sendto(b'x', ('127.0.0.1', 9))"),
        "opened a connection to 127.0.0.1, port 9",
    ),
    "message": (
        _CHILD("import socket; socket.socket(10, 2).sendmsg([b'x'], [], 0, ('::1', 9))"),
        "opened a connection to ::1, port 9",
    ),
    "service": (
        _CHILD("import socket; socket.socket(1).connect_ex(b'\\0nowhere')"),
        "started a program that spoke to an abstract socket",
    ),
    "other_root": (_CHILD("import os; os.chroot('.')"), "could not be watched: a program made system call 161"),
}


@pytest.mark.usefixtures("namespaces")
@pytest.mark.parametrize("name", UNSEEN)
def test_what_is_not_seen_makes_a_pass_count_for_nothing(name: str, root: Path, kernel_env: Path) -> None:
    cell, said = UNSEEN[name]
    assert read_once(root, f"unseen_{name}", kernel_env, cell).hindrance == f"it {said}"


AS_EVER = """
import asyncio, concurrent.futures, multiprocessing, os, pty, subprocess, sys, threading
try:
    subprocess.run(["no-such-program"])
except FileNotFoundError:
    found = False
assert not found
assert subprocess.run(["sh", "-c", "exit 7"]).returncode == 7
assert subprocess.run(["sh", "-c", "kill -9 $$"]).returncode == -9
assert not [thread for thread in threading.enumerate() if "Dummy" in thread.name]
code = "import ctypes, time; ctypes.CDLL(None).prctl(1, 9, 0, 0, 0); time.sleep(0.2)"
for _ in range(3):  # one that is to end with its parent
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    codes = list(pool.map(lambda n: subprocess.run(["sh", "-c", f"exit {n}"]).returncode, range(64)))
assert codes == list(range(64))
for how in ("spawn", "forkserver"):
    with multiprocessing.get_context(how).Pool(2) as pool:
        assert pool.map(abs, [-1, -2, -3]) == [1, 2, 3]
process = await asyncio.create_subprocess_exec("cat", stdin=-1, stdout=-1)
assert (await process.communicate(b"text"))[0] == b"text"
assert os.waitpid(os.posix_spawn("/bin/sh", ["sh", "-c", "exit 5"], {}), 0)[1] == 5 << 8
assert os.system("exit 4") == 4 << 8
pid, end = pty.fork()
if not pid:
    os.execvp("sh", ["sh", "-c", "exit 3"])
assert os.WEXITSTATUS(os.waitpid(pid, 0)[1]) == 3
"""


@pytest.mark.usefixtures("namespaces")
def test_programs_do_as_ever(root: Path, kernel_env: Path) -> None:
    assert read_once(root, "as_ever", kernel_env, AS_EVER).hindrance == ""


def read_once(root: Path, name: str, prefix: Path, cell: str) -> Reading:
    """Return what a notebook read that no other test knows."""
    path = root / f"nb/{name}.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell(cell)]), path)
    try:
        return read_by(root, name, prefix, root.parent / "run")
    finally:
        path.unlink()


def read_by(root: Path, name: str, prefix: Path, run_dir: Path) -> Reading:
    job = Job(
        id=name,
        notebook=f"nb/{name}.ipynb",
        group="core",
        python="3.11",
        root=str(root),
        run_dir=str(run_dir),
        run_id=f"reading-{os.getpid()}",
        limits=Limits(timeout=120.0, cell_timeout=100.0),
        binding=Binding(prefix=str(prefix)),
    )
    result = run_job(job)
    assert result.status == "passed", result
    assert result.reading is not None
    return result.reading


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("reading") / "project"
    build(root)
    time.sleep(0.05)  # nothing changes while a notebook runs, by the file system's clock
    return root


@pytest.fixture(scope="module")
def namespaces(root: Path) -> None:
    choose_isolation.cache_clear()
    if choose_isolation(root)[0] != "namespace" or platform.machine() != "x86_64":
        pytest.skip("reading is seen in namespaces only, and programs are followed on x86-64")


@pytest.fixture(scope="module")
def readings(root: Path, kernel_env: Path, namespaces: None) -> dict[str, Reading]:
    return {name: read_by(root, name, kernel_env, root.parent / "run") for name in NOTEBOOKS}


def fingerprints(root: Path, readings: dict[str, Reading]) -> dict[str, Fingerprint]:
    now = Contents(root, {})
    return {name: Fingerprint(states={look: now.state(look) for look in each.looks}) for name, each in readings.items()}


def changed(root: Path, before: dict[str, Fingerprint], readings: dict[str, Reading]) -> dict[str, str]:
    now = fingerprints(root, readings)
    told = {name: difference(each, now[name]) for name, each in before.items()}
    return {name: why for name, why in told.items() if why}


def test_programs_are_followed_whatever_they_are(readings: dict[str, Reading]) -> None:
    assert {name: each.hindrance for name, each in readings.items() if each.hindrance} == {}


def test_of_directories_that_are_there_for_one_run_alone_nothing_counts(readings: dict[str, Reading]) -> None:
    assert {look.path for look in readings["resolves"].looks if "/envsolver-" in look.path} == set()


def test_nothing_is_taken_for_read_whole(readings: dict[str, Reading]) -> None:
    assert {name for name, each in readings.items() for look in each.looks if look.kind == "tree"} == set()


def test_a_pass_is_trusted(root: Path, readings: dict[str, Reading]) -> None:
    now = Contents(root, {})
    assert {name for name, each in readings.items() if now.distrust(each, f"nb/{name}.ipynb")} == set()


def test_any_change_shows_in_exactly_those_that_depend_on_it(root: Path, readings: dict[str, Reading]) -> None:
    before = fingerprints(root, readings)
    chance = random.Random(1)  # noqa: S311  # which changes are made twice is no secret
    changes = [*ALL_CHANGES, *chance.choices(ALL_CHANGES, k=max(0, CHANGES - len(ALL_CHANGES)))]
    missed, too_many = [], []
    for change in changes:
        path = root / change.path
        kept = (path.readlink() if path.is_symlink() else path.read_bytes()) if os.path.lexists(path) else None
        change.make(path)
        found = changed(root, before, readings)
        missed += [(change.path, name) for name in change.dependents - found.keys()]
        too_many += [(change.path, name, found[name]) for name in found.keys() - change.dependents]
        _restore(path, kept)
    assert changed(root, before, readings) == {}
    assert missed == []
    assert too_many == []


def _restore(path: Path, kept: bytes | Path | None) -> None:
    if path.is_dir():
        path.rmdir()
    elif os.path.lexists(path):
        path.unlink()
    if isinstance(kept, bytes):
        path.write_bytes(kept)
        path.chmod(0o755 if path.suffix == ".sh" else 0o644)
    elif kept is not None:
        path.symlink_to(kept)


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(CHOICE, "copies")
    choose_isolation.cache_clear()
    yield
    choose_isolation.cache_clear()


@pytest.mark.usefixtures("copies")
def test_where_reading_is_not_seen_the_whole_project_counts(root: Path, kernel_env: Path, tmp_path: Path) -> None:
    readings = {"nothing": read_by(root, "nothing", kernel_env, tmp_path / "run")}
    before = fingerprints(root, readings)
    (root / "data/surprise.csv").write_text("")
    try:
        assert "the project changed" in changed(root, before, readings)["nothing"]
    finally:
        (root / "data/surprise.csv").unlink()
