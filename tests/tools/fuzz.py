"""Feed made-up odd files to everything that reads what other people write, and look at what comes of each.

An input is a small valid project that was changed in ways that files are odd: values of another type, deep nesting,
long numbers, halves of characters, cut or overwritten bytes. What it leads to is a value, a fault, or an
`EnvsolverError`, and a fault names the file; anything else is a bug. Inputs depend on the seed and their number alone.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from odd_inputs import CODE, RAW, REQUIREMENTS, TEXTS, VALUES
from report_samples import with_failures

from envsolver.config.load import find_root, load_config, settings_for
from envsolver.core.environments import Interpreter
from envsolver.core.errors import EnvsolverError
from envsolver.core.files import read_json, write_json
from envsolver.environments.uv_settings import read_settings
from envsolver.notebooks.distributions import distributions_for
from envsolver.notebooks.read import read_notebook
from envsolver.notebooks.select import find_notebooks
from envsolver.report.junit import junit_xml
from envsolver.report.results_json import read_results, run_to_data
from envsolver.report.text import report_lines
from envsolver.resolver.demands import demand_of
from envsolver.resolver.groups import derive_group, read_group
from envsolver.resolver.local_projects import stand_in
from envsolver.resolver.lockfiles import inspect, select
from envsolver.resolver.own_project import own_project
from envsolver.resolver.specifiers import contradiction
from envsolver.run.history import History
from envsolver.testing.files import read_test_files

PYTHON = Interpreter(request="3.11", executable="/bin/python3.11", version="3.11.7", platform="cpython-linux-x86_64")


def notebook(rng: random.Random) -> dict[str, Any]:
    """Return a sound notebook with made-up code."""
    cells = [
        {"cell_type": rng.choice(["code", "code", "markdown", "raw"]), "source": source, "metadata": {}, "outputs": []}
        for source in (_code(rng) for _ in range(rng.randint(0, 4)))
    ]
    metadata = {
        "kernelspec": {"name": "python3", "language": "python"},
        "execution": {"timeout": 5},
        "papermill": {"duration": 1.0},
        "envsolver": {"group": "a"},
    }
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": cells}


def _code(rng: random.Random) -> Any:
    if rng.random() < 0.2:
        lines = ["# /// script", f"# dependencies = [{toml(rng.choice(REQUIREMENTS))}]"]
        lines += [f"# {rng.choice(['requires-python', 'x', '['])} = {toml(rng.choice(VALUES))}"] * rng.randint(0, 2)
        return "\n".join([*lines, "# ///"])
    if rng.random() < 0.2:
        return f"%pip install {rng.choice(REQUIREMENTS)!r}"
    parts = rng.choices(CODE, k=rng.randint(1, 3))
    return parts if rng.random() < 0.2 else "\n".join(parts)


def configuration(rng: random.Random) -> dict[str, Any]:
    """Return a sound configuration."""
    return {
        "notebooks": ["**/*.ipynb"],
        "exclude": [],
        "python": ["3.11"],
        "timeout": 600,
        "env": {"A": "b"},
        "pass-env": ["A"],
        "modules": {"yaml": "pyyaml"},
        "booktests": "tests/booktests",
        "exclude-newer": "2026-01-01",
        "groups": {"a": {"notebooks": ["a/**"], "cores": 1, "memory": "1GiB", "requires-python": ">=3.10", "env": {}}},
        "services": {"s": {"command": "x {port}", "ready": "http://127.0.0.1:{port}/", "env": {"A": "b"}}},
        "notebook": {"n.ipynb": {"timeout": 5, "replace": {"a": "b"}, "skip-cells": ["a"], "parameters": {"n": 1}}},
    }


def pyproject(rng: random.Random) -> dict[str, Any]:
    """Return what a project under test says of itself."""
    return {
        "project": {
            "name": "mine",
            "version": "1",
            "dependencies": rng.choices(REQUIREMENTS, k=2),
            "optional-dependencies": {"x": rng.choices(REQUIREMENTS, k=1), "all": ["mine[x]"]},
            "dynamic": [],
        },
        "build-system": {"requires": ["hatchling"], "build-backend": "hatchling.build"},
        "tool": {"uv": {"sources": {}}, "poetry": {"name": "mine"}},
    }


def changed(data: Any, rng: random.Random, times: int) -> Any:
    """Put odd values, or odd keys, into some places of a document."""
    for _ in range(times):
        places = list(_places(data))
        if not places:
            break
        holder, key = rng.choice(places)
        chance = rng.random()
        if chance < 0.15:
            del holder[key]
        elif chance < 0.3 and isinstance(holder, dict):
            holder[rng.choice(TEXTS)] = holder.pop(key)
        else:
            holder[key] = copy.deepcopy(rng.choice(VALUES))
    return data


def _places(data: Any) -> Iterator[tuple[Any, Any]]:
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in list(items):
        yield data, key
        yield from _places(value)


def toml(value: Any) -> str:
    """Write a value as TOML, in line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(str(k))} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return "''" if value is None else json.dumps(value)


def _raw(text: str) -> str:
    for mark, raw in RAW.items():
        text = text.replace(f'"{mark}"', raw)
    return text


def _damaged(data: bytes, rng: random.Random) -> bytes:
    """Damage bytes as editors, transfers and disks do; mostly not at all."""
    chance = rng.random()
    at = rng.randrange(len(data) + 1)
    if chance < 0.05:
        return data[:at]
    if chance < 0.1:
        return data[:at] + bytes(rng.choices(range(256), k=3)) + data[at + 3 :]
    if chance < 0.15:
        return b"\xef\xbb\xbf" + data
    return data.decode("utf-8", "replace").encode("utf-16") if chance < 0.18 else data


def write_project(root: Path, rng: random.Random) -> None:
    """Write a project in which something is odd."""
    odd = rng.choice(["notebook", "notebook", "configuration", "requirements", "pyproject", "tests"])

    def times(kind: str) -> int:
        return rng.randint(0, 3) if kind == odd else 0

    def write(name: str, text: str, kind: str) -> None:
        data = text.encode("utf-8", "surrogatepass")
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(_damaged(data, rng) if kind == odd else data)

    document = notebook(rng) if odd == "notebook" else {**notebook(rng), "cells": []}
    write("n.ipynb", _raw(json.dumps(changed(document, rng, times("notebook")))), "notebook")
    own = changed(configuration(rng), rng, times("configuration"))
    write("envsolver.toml", _raw("".join(f"{toml(str(k))} = {toml(v)}\n" for k, v in own.items())), "configuration")
    project = changed(pyproject(rng) if odd == "pyproject" else {"project": {"name": "mine"}}, rng, times("pyproject"))
    write("pyproject.toml", _raw("".join(f"{toml(str(k))} = {toml(v)}\n" for k, v in project.items())), "pyproject")
    lines = rng.choices(REQUIREMENTS, k=rng.randint(0, 3)) if odd == "requirements" else ["numpy"]
    write("requirements/a.in", "\n".join(lines), "requirements")
    write("requirements/a.txt", f"# inputs: {'0' * 64}\n" + "\n".join(f"{line} \\" for line in lines), "requirements")
    test = f"class Test(NotebookTestCase):\n    notebook = {rng.choice(CODE)!r}\n{rng.choice(CODE)}\n"
    write("tests/booktests/tb_a.py", test if odd == "tests" else "", "tests")
    write("helper.py", rng.choice(CODE), "notebook")
    (root / "sub").mkdir()
    write("sub/pyproject.toml", "[project]\nname = 'sub'\nversion = '1'\n", "")


def read_project(root: Path, rng: random.Random) -> None:
    """Read a project as `envsolver list` does, all but the questions to uv."""
    config = load_config(find_root(root))
    read_settings(root, {})
    faults = [file.fault for file in read_test_files(root, "tests/booktests")]
    for path in find_notebooks(config):
        found = read_notebook(config.root, path, settings_for(config, path))
        faults.append(found.fault or "")
        demand = demand_of(found, distributions=lambda m: distributions_for(m, config.modules), own=own_project(root))
        contradiction((r.text for r in demand.requirements), PYTHON)
        group = derive_group("", demand.requirements, root=root)
        stand_in(group.requirements, root, root / "stubs" / path)
        json.dumps([demand.fault, found.path, [str(r.origin) for r in demand.requirements]]).encode()
    if any("Traceback" in fault for fault in faults):
        raise AssertionError(faults)
    for name in config.groups:
        group = read_group(config, name)
        stand_in(group.requirements, root, root / "stubs" / name)
        inspect(config, group)
        select((root / "requirements" / "a.txt").read_text("utf-8", "replace"), PYTHON)


def results(root: Path, rng: random.Random) -> None:
    """Read the results of a run in which something is odd."""
    data = json.loads(json.dumps(run_to_data(with_failures(root)), default=str))
    text = _raw(json.dumps(changed(data, rng, rng.randint(1, 3))))
    (root / "results.json").write_bytes(_damaged(text.encode("utf-8", "surrogatepass"), rng))
    run = read_results(root)
    report_lines(run)
    junit_xml(run, lambda _: "")


def memories(root: Path, rng: random.Random) -> None:
    """Read a history and a cache's file that were damaged."""
    path = root / "history.sqlite"
    History(path).record_facts({"a": "{}"})
    data = bytearray(path.read_bytes())
    for _ in range(rng.randint(0, 20)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    path.write_bytes(_damaged(bytes(data), rng))
    write_json(root / "cached.json", {"a": [1, "b"]})
    (root / "cached.json").write_bytes(_damaged((root / "cached.json").read_bytes(), rng))
    assert read_json(root / "cached.json") in ({}, {"a": [1, "b"]})
    assert set(History(path).template_facts()) <= {"a"}
    History(path).records()


KINDS: tuple[tuple[Callable[[Path, random.Random], None], int], ...] = ((read_project, 8), (results, 1), (memories, 1))


def outcome(seed: int, number: int, root: Path) -> str:
    """Return what came of one input: ``read``, the fault, or a traceback, which is a bug."""
    rng = random.Random(f"{seed}:{number}")
    (kind,) = rng.choices([kind for kind, _ in KINDS], [weight for _, weight in KINDS])
    if kind is read_project:
        write_project(root, rng)
    try:
        kind(root, rng)
    except EnvsolverError as error:
        placed = all(any(name in line for name in NAMES) for line in error.message.splitlines()[:1])
        return error.message if placed else f"Traceback: a fault without a place: {error.message}"
    except Exception:  # noqa: BLE001  whatever it is, it must not have come here
        return traceback.format_exc()
    return "read"


NAMES = ("envsolver.toml", "pyproject.toml", "n.ipynb", "requirements/", "results.json", "history.sqlite", "--times")


def fuzz(seed: int, numbers: Iterator[int] | range) -> dict[int, str]:
    """Return the tracebacks by the input's number."""
    bugs: dict[int, str] = {}
    for number in numbers:
        root = Path(tempfile.mkdtemp(prefix="envsolver-fuzz-"))
        try:
            found = outcome(seed, number, root)
        finally:
            shutil.rmtree(root, ignore_errors=True)
        if found.startswith("Traceback"):
            bugs[number] = found
    return bugs


def main() -> int:
    """Fuzz from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--only", type=int, help="the number of one input")
    options = parser.parse_args()
    start = time.perf_counter()
    print(f"seed {options.seed}", flush=True)
    bugs = fuzz(options.seed, range(options.inputs) if options.only is None else range(options.only, options.only + 1))
    for number, text in bugs.items():
        print(f"--seed {options.seed} --only {number}\n{text}")
    print(f"{options.inputs} inputs, {len(bugs)} tracebacks, {time.perf_counter() - start:.0f} s")
    return 1 if bugs else 0


if __name__ == "__main__":
    sys.exit(main())
