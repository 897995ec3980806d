"""Made-up projects: notebooks that read by many means, what each depends on, and changes with those that must run.

What depends on what is known by construction, and not by looking at what envsolver saw.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from fakes import write_notebook

FILES, LINKS, MODULES, SCRIPTS, OPTIONAL = 6, 2, 6, 2, 2
"""How many there are of each in a project."""

_C = (
    "import ctypes\nlibrary = ctypes.CDLL(None)\nlibrary.fopen.restype = ctypes.c_void_p\n"
    "assert library.fopen(b'{0}', b'r')"
)
READS = (
    "open('{0}').read()",
    "from pathlib import Path\nPath('{0}').read_bytes()",
    "import io\nio.FileIO('{0}').read()",
    _C,
    "import subprocess\nsubprocess.run(['cat', '{0}'], check=True)",
    "!cat {0}",
    "!head -c 3 < {0} | sort",
    "import subprocess, sys\nsubprocess.run([sys.executable, '-I', '-c', \"open('{0}').read()\"], check=True)",
    "import shutil\nshutil.copy('{0}', 'copy.txt')",
)
LISTS = (
    "import os\nos.listdir('{0}')",
    "import glob\nglob.glob('{0}/*.txt')",
    "from pathlib import Path\nlist(Path('{0}').iterdir())",
    "!ls {0}",
)
ASKS = (
    "import os\nos.path.exists('{0}')",
    "from pathlib import Path\nPath('{0}').is_file()",
    "try:\n    open('{0}')\nexcept OSError:\n    pass",
    "!test -e {0} || true",
)
_POOL = (
    "import multiprocessing\ndef work(_):\n    try:\n        import {0}\n    except ImportError:\n        pass\n"
    "with multiprocessing.get_context('fork').Pool(1) as pool:\n    pool.map(work, [1])"
)
IMPORTS = (
    "try:\n    import {0}\nexcept ImportError:\n    pass",
    "import importlib\ntry:\n    importlib.import_module('{0}')\nexcept ImportError:\n    pass",
    "import importlib.util\nimportlib.util.find_spec('{0}')",
    _POOL,
)


@dataclass
class Needs:
    """What a notebook, a module or a script depends on."""

    files: set[str] = field(default_factory=set)
    links: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)
    absent: set[str] = field(default_factory=set)

    def add(self, other: Needs) -> None:
        """Depend on all that another depends on."""
        for name in ("files", "links", "folders", "absent"):
            getattr(self, name).update(getattr(other, name))


@dataclass(frozen=True)
class Change:
    """A change, how it is undone, and the notebooks that must run for it."""

    what: str
    make: Callable[[], object]
    undo: Callable[[], object]
    dependents: frozenset[str]


class MadeUpProject:
    """A project of files, modules that import each other, scripts and notebooks.

    Attributes
    ----------
    needs
        What each notebook depends on, by path.
    """

    def __init__(self, root: Path, seed: int, notebooks: int) -> None:
        self.root = root
        self.chance = random.Random(seed)  # noqa: S311  # a project is no secret
        self.needs: dict[str, Needs] = {}
        self._sources: dict[str, list[str]] = {}
        self._data()
        modules = self._modules()
        scripts = [self._script(number, modules) for number in range(SCRIPTS)]
        for number in range(notebooks):
            self._notebook(f"nb/n{number}.ipynb", modules, scripts)

    def _write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def _data(self) -> None:
        for number in range(FILES):
            self._write(f"data/d{number}.txt", f"content {number}\n")
        for number in range(LINKS):
            self._write(f"store/s{number}.txt", f"store {number}\n")
            self._write(f"store/other{number}.txt", f"other {number}\n")
            (self.root / f"data/link{number}.txt").symlink_to(f"../store/s{number}.txt")

    def _modules(self) -> list[Needs]:
        """Write modules of which each imports some of those before it, and some read a file."""
        found: list[Needs] = []
        for number in range(MODULES):
            needs = Needs(files={f"lib/m{number}.py"}, absent={f"nb/m{number}.py", f"tools/m{number}.py"})
            lines = ["import os"]
            for other in self.chance.sample(range(number), k=min(number, self.chance.randrange(3))):
                lines.append(f"import m{other}")
                needs.add(found[other])
            if self.chance.random() < 0.3:
                file = f"data/d{self.chance.randrange(FILES)}.txt"
                lines.append(f"open(os.path.join(os.path.dirname(__file__), '..', '{file}')).read()")
                needs.files.add(file)
            self._write(f"lib/m{number}.py", "\n".join(lines) + "\n")
            found.append(needs)
        return found

    def _script(self, number: int, modules: list[Needs]) -> Needs:
        """Write a script that imports a module and reads a file."""
        module, file = self.chance.randrange(MODULES), f"data/d{self.chance.randrange(FILES)}.txt"
        here = "os.path.dirname(os.path.abspath(__file__))"
        self._write(
            f"tools/t{number}.py",
            f"import os, sys\nsys.path.append(os.path.join({here}, '..', 'lib'))\nimport m{module}\n"
            f"open(os.path.join({here}, '..', '{file}')).read()\n",
        )
        needs = Needs(files={f"tools/t{number}.py", file})
        needs.add(modules[module])
        needs.absent = {name for name in needs.absent if name.startswith("tools/")}
        return needs

    def _notebook(self, path: str, modules: list[Needs], scripts: list[Needs]) -> None:
        needs = self.needs[path] = Needs()
        kinds = [self._read, self._read_link, self._list, self._ask, self._optional]
        actions: list[Callable[[Needs], str]] = [
            *kinds,
            lambda n: self._import(n, modules),
            lambda n: self._run_script(n, scripts),
        ]
        cells = [action(needs) for action in self.chance.sample(actions, k=self.chance.randrange(1, 4))]
        self._sources[path] = ["n = 1", *cells]
        self.write_notebook(path)

    def write_notebook(self, path: str, *more: str) -> None:
        """Write a notebook, with more cells."""
        write_notebook(self.root, path, *self._sources[path], *more)

    def _read(self, needs: Needs) -> str:
        name = f"data/d{self.chance.randrange(FILES)}.txt"
        needs.files.add(name)
        return self.chance.choice(READS).format(f"../{name}")

    def _read_link(self, needs: Needs) -> str:
        number = self.chance.randrange(LINKS)
        needs.files.add(f"store/s{number}.txt")
        needs.links.add(f"data/link{number}.txt")
        return self.chance.choice(READS).format(f"../data/link{number}.txt")

    def _list(self, needs: Needs) -> str:
        folder = self.chance.choice(["data", "store"])
        needs.folders.add(folder)
        return self.chance.choice(LISTS).format(f"../{folder}")

    def _ask(self, needs: Needs) -> str:
        name = f"data/absent{self.chance.randrange(2)}.txt"
        needs.absent.add(name)
        return self.chance.choice(ASKS).format(f"../{name}")

    def _optional(self, needs: Needs) -> str:
        name = f"optional{self.chance.randrange(OPTIONAL)}"
        needs.absent.add(f"nb/{name}.py")
        return self.chance.choice(IMPORTS).format(name)

    def _import(self, needs: Needs, modules: list[Needs]) -> str:
        number = self.chance.randrange(MODULES)
        needs.add(modules[number])
        needs.absent = {name for name in needs.absent if not name.startswith("tools/")}
        return f"import sys\nsys.path.append('../lib')\nimport m{number}"

    def _run_script(self, needs: Needs, scripts: list[Needs]) -> str:
        number = self.chance.randrange(SCRIPTS)
        needs.add(scripts[number])
        run = "import subprocess, sys\nsubprocess.run([sys.executable, '../tools/t{0}.py'], check=True)"
        return self.chance.choice([run, "!python ../tools/t{0}.py"]).format(number)

    # Changes

    def changes(self) -> Iterator[Change]:
        """Yield changes at random, without end."""
        kinds = (
            self._rewritten, self._same_size, self._touched, self._written_anew, self._gone, self._new, self._there_now,
            self._linked_elsewhere, self._became_link, self._edited, self._described,
        )  # fmt: skip
        while True:
            yield self.chance.choice(kinds)()

    def _who(self, depends: Callable[[Needs], bool]) -> frozenset[str]:
        return frozenset(name for name, needs in self.needs.items() if depends(needs))

    def _some_file(self) -> tuple[str, Path, Callable[[], object]]:
        folders = ("data", "store", "lib", "tools")
        names = sorted(p for folder in folders for p in (self.root / folder).iterdir() if p.is_file())
        path = self.chance.choice([p for p in names if not p.is_symlink()])
        content = path.read_bytes()

        def undo() -> None:
            path.unlink(missing_ok=True)
            path.write_bytes(content)

        return path.relative_to(self.root).as_posix(), path, undo

    def _rewritten(self) -> Change:
        name, path, undo = self._some_file()
        who = self._who(lambda needs: name in needs.files)
        return Change(f"{name} rewritten", lambda: path.write_text(path.read_text() + "\n# more\n"), undo, who)

    def _same_size(self) -> Change:
        name, path, undo = self._some_file()
        who = self._who(lambda needs: name in needs.files)
        return Change(f"{name} of the same size", lambda: path.write_text(path.read_text()[::-1]), undo, who)

    def _touched(self) -> Change:
        name, path, undo = self._some_file()
        return Change(f"{name} touched", path.touch, undo, frozenset())

    def _written_anew(self) -> Change:
        name, _, undo = self._some_file()
        return Change(f"{name} written anew", undo, undo, frozenset())

    def _gone(self) -> Change:
        name, path, undo = self._some_file()
        who = self._who(lambda needs: name in needs.files or name.split("/")[0] in needs.folders)
        return Change(f"{name} gone", path.unlink, undo, who)

    def _new(self) -> Change:
        folder = self.chance.choice(["data", "store", "nb", "lib", "."])
        path = self.root / folder / "new.txt"
        who = self._who(lambda needs: folder in needs.folders)
        return Change(f"{folder}/new.txt new", path.touch, path.unlink, who)

    def _there_now(self) -> Change:
        modules = [f"{folder}/m{number}.py" for folder in ("nb", "tools") for number in range(MODULES)]
        optional = [f"nb/optional{number}.py" for number in range(OPTIONAL)]
        name = self.chance.choice([*modules, *optional * 3, *["data/absent0.txt", "data/absent1.txt"] * 3])
        path, folder = self.root / name, name.split("/", maxsplit=1)[0]
        who = self._who(lambda needs: name in needs.absent or folder in needs.folders)
        return Change(f"{name} there now", path.touch, path.unlink, who)

    def _linked_elsewhere(self) -> Change:
        number = self.chance.randrange(LINKS)
        path = self.root / f"data/link{number}.txt"

        def point_to(target: str) -> Callable[[], None]:
            def make() -> None:
                path.unlink()
                path.symlink_to(target)

            return make

        who = self._who(lambda needs: f"data/link{number}.txt" in needs.links)
        there, back = point_to(f"../store/other{number}.txt"), point_to(f"../store/s{number}.txt")
        return Change(f"link{number} leads elsewhere", there, back, who)

    def _became_link(self) -> Change:
        number = self.chance.randrange(FILES)
        name = f"data/d{number}.txt"
        path, other = self.root / name, self.root / "nb" / "moved.txt"

        def make() -> None:
            path.replace(other)
            other.write_text("of another content\n")
            path.symlink_to("../nb/moved.txt")

        def undo() -> None:
            path.unlink()
            other.unlink()
            path.write_text(f"content {number}\n")

        return Change(f"{name} became a link", make, undo, self._who(lambda needs: name in needs.files))

    def _edited(self) -> Change:
        path = self.chance.choice(sorted(self.needs))
        back = lambda: self.write_notebook(path)  # noqa: E731
        return Change(f"{path} edited", lambda: self.write_notebook(path, "1 + 1"), back, frozenset({path}))

    def _described(self) -> Change:
        path = self.chance.choice(sorted(self.needs))
        back = lambda: self.write_notebook(path)  # noqa: E731

        def make() -> None:
            text = (self.root / path).read_text()
            cell = '{"cell_type": "markdown", "source": "about it", "metadata": {}}, '
            (self.root / path).write_text(text.replace('"cells": [', f'"cells": [{cell}', 1))

        return Change(f"{path} described", make, back, frozenset())
