"""Promise: whatever a notebook does, the worker says truthfully what became of it, and leaves nothing running."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest
import zmq
from fakes import with_options
from nbclient.output_widget import OutputWidget

from envsolver.core.jobs import Binding, Edits, Job, Limits, WarmStart
from envsolver.core.results import Result
from envsolver.worker import bounded_client, prepare, questions, session
from envsolver.worker.isolation import CHOICE, choose_isolation
from envsolver.worker.kernel import Kernel
from envsolver.worker.private_directories import remove, run_directory
from envsolver.worker.processes import RUN_MARK, marked
from envsolver.worker.run_job import run_job

pytestmark = pytest.mark.integration

Cell = str | tuple[str, list[str]]


def document(*cells: Cell, **metadata: Any) -> dict[str, Any]:
    made = []
    for cell in cells:
        source, tags = cell if isinstance(cell, tuple) else (cell, [])
        made.append(
            {
                "cell_type": "code",
                "source": source,
                "metadata": {"tags": tags},
                "outputs": [{"output_type": "stream", "name": "stdout", "text": "stale"}],
                "execution_count": 7,
            }
        )
    return {"cells": made, "metadata": metadata, "nbformat": 4, "nbformat_minor": 4}


@dataclass
class Bench:
    """A project and a run's folder, in which a notebook is written and run."""

    root: Path
    run_dir: Path
    prefix: Path
    run_id: str
    count: list[int] = field(default_factory=list)

    def run(self, *cells: Cell, notebook: str = "nb/one.ipynb", **options: Any) -> Result:
        return self.run_text(json.dumps(document(*cells)), notebook=notebook, **options)

    def run_text(self, text: str, *, notebook: str = "nb/one.ipynb", **options: Any) -> Result:
        path = self.root / notebook
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        self.count.append(1)
        job = Job(
            id=f"job{len(self.count)}",
            notebook=notebook,
            group="core",
            python="3.11",
            root=str(self.root),
            run_dir=str(self.run_dir),
            run_id=self.run_id,
            limits=Limits(timeout=120.0, cell_timeout=100.0),
            binding=Binding(prefix=str(self.prefix), requirements_place="requirements/core.in"),
        )
        return run_job(with_options(job, **options))

    def executed(self, result: Result) -> dict[str, Any]:
        read: dict[str, Any] = json.loads((self.run_dir / result.executed).read_text(encoding="utf-8"))
        return read

    def text_of(self, result: Result, cell: int = 0) -> str:
        outputs = self.executed(result)["cells"][cell]["outputs"]
        return "".join("".join(out.get("text", out.get("data", {}).get("text/plain", ""))) for out in outputs)


@pytest.fixture
def bench(tmp_path: Path, kernel_env: Path, request: pytest.FixtureRequest) -> Bench:
    root = tmp_path / "project"
    root.mkdir()
    return Bench(
        root=root, run_dir=tmp_path / "run", prefix=kernel_env, run_id=f"test-{os.getpid()}-{request.node.name}"
    )


@pytest.fixture(autouse=True)
def nothing_left(bench: Bench) -> Any:
    yield
    assert marked(RUN_MARK, bench.run_id) == []
    place = run_directory(bench.run_id)
    kept = list(place.iterdir()) if place.exists() else []
    remove(place)
    assert kept == []


def test_a_kernel_that_listens_late_is_found_soon(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client connects before its kernel listens, so its sockets must try again sooner than by default."""
    intervals: list[int] = []
    ready = Kernel.ready

    async def asked(kernel: Kernel) -> dict[str, Any]:
        client = kernel.client
        assert client is not None
        channels = (client.shell_channel, client.iopub_channel, client.control_channel)
        intervals.extend(channel.socket.get(zmq.RECONNECT_IVL) for channel in channels)
        return await ready(kernel)

    monkeypatch.setattr(Kernel, "ready", asked)
    assert bench.run("1").status == "passed"
    assert len(intervals) == 3
    assert max(intervals) <= 10  # milliseconds; 100 by default


# The verdicts


def test_a_notebook_that_runs_to_its_end_passes(bench: Bench) -> None:
    result = bench.run("x = 20", "x + 22")
    assert (result.status, result.reason, result.failure) == ("passed", "", None)
    assert [time.cell for time in result.cells] == [1, 2]
    assert bench.text_of(result, 1) == "42"
    assert 0 < result.start_seconds < result.seconds
    assert result.peak_rss_bytes is not None
    assert result.peak_rss_bytes > 10 * 2**20


def test_a_cell_that_raises_is_named_with_its_error(bench: Bench) -> None:
    text = json.dumps(
        {
            **document("good = 1", "bad = good / 0", "print('never')"),
            "cells": [
                {"cell_type": "markdown", "source": "# Title", "metadata": {}},
                *document("good = 1", "bad = good / 0", "print('never')")["cells"],
            ],
        }
    )
    result = bench.run_text(text)
    assert result.status == "failed"
    assert result.failure is not None
    assert (result.failure.cell, result.failure.ename, result.failure.source) == (
        3,
        "ZeroDivisionError",
        "bad = good / 0",
    )
    assert result.failure.evalue == "division by zero"
    assert "\x1b[" in result.failure.traceback
    assert result.reason == "cell 3 raised ZeroDivisionError: division by zero"
    assert bench.executed(result)["cells"][2]["outputs"][0]["ename"] == "ZeroDivisionError"
    assert bench.executed(result)["cells"][3]["outputs"] == []


@pytest.mark.parametrize(
    ("cells", "status", "says"),
    [
        (["1", "import os; os._exit(3)", "1"], "crashed", "ended with exit code 3 in cell 2"),
        (["import os; os._exit(0)"], "crashed", "ended with exit code 0 in cell 1"),
        (["import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"], "crashed", "killed by SIGSEGV in cell 1"),
        (["import os; os.kill(os.getpid(), 9)"], "crashed", "killed by SIGKILL"),
        (["import ctypes; ctypes.string_at(0)"], "crashed", "killed by SIGSEGV"),
        (["exit()", "1"], "crashed", "cell 1 left the kernel with exit()"),
        (["1", "quit()"], "passed", ""),
        (["raise SystemExit(0)"], "failed", "SystemExit"),
        (["raise KeyboardInterrupt"], "failed", "KeyboardInterrupt"),
        (["input('name? ')"], "failed", "asks for input"),
        (["import getpass; getpass.getpass()"], "failed", "asks for input"),
        (["def broken(:"], "failed", "SyntaxError"),
    ],
)
def test_verdict(bench: Bench, cells: list[Cell], status: str, says: str) -> None:
    result = bench.run(*cells, timeout=90)
    assert result.status == status
    assert says in result.reason


def test_the_reason_of_a_crash_quotes_the_kernels_last_words(bench: Bench) -> None:
    result = bench.run("import ctypes; ctypes.string_at(0)")
    assert result.status == "crashed"
    assert "Segmentation fault" in result.reason
    assert result.log.startswith("logs/")


@pytest.mark.parametrize(
    ("limits", "ename", "says"),
    [
        ({"cell_timeout": 1.0}, "CellTimeout", "cell 2 was still running when the cell's limit of 1 s had passed"),
        ({"timeout": 8.0}, "NotebookTimeout", "cell 2 was still running when the notebook's limit of 8 s had passed"),
    ],
)
def test_an_endless_loop_ends_at_its_limit(bench: Bench, limits: dict[str, Any], ename: str, says: str) -> None:
    result = bench.run("1", "while True: pass", **limits)
    assert result.status == "timeout"
    assert result.reason.startswith(says)
    assert result.failure is not None
    assert (result.failure.cell, result.failure.ename) == (2, ename)
    assert bench.executed(result)["cells"][1]["outputs"][-1]["ename"] == ename


def test_a_kernel_that_is_not_ready_in_time_is_a_timeout(bench: Bench) -> None:
    result = bench.run("1", timeout=0.001)
    assert (result.status, result.failure and result.failure.cell) == ("timeout", None)
    assert "not ready" in result.reason


def test_memory_above_the_limit_ends_the_notebook(bench: Bench) -> None:
    source = "import time, subprocess, sys\nhold = bytearray(300 * 2**20)\nhold[::4096] = hold[::4096]\ntime.sleep(60)"
    result = bench.run(source, memory=200 * 2**20)
    assert result.status == "memory"
    assert "limit of 200 MiB" in result.reason
    assert result.peak_rss_bytes is not None
    assert result.peak_rss_bytes > 200 * 2**20


def test_memory_of_child_processes_counts(bench: Bench) -> None:
    child = "import time; hold = b'x' * (300 * 2**20); time.sleep(60)"
    result = bench.run(f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {child!r}])", memory=250 * 2**20)
    assert result.status == "memory"


# What it starts is gone

STARTERS = {
    "a child": "subprocess.Popen(['sleep', DURATION])",
    "a session of its own": "subprocess.Popen(['sleep', DURATION], start_new_session=True)",
    "a double fork": "subprocess.run(['sh', '-c', f'setsid sleep {DURATION} >/dev/null 2>&1 &'])",
    "a shell's background": "get_ipython().system_raw(f'sleep {DURATION} &')",
    "one that ignores SIGTERM": "subprocess.Popen(['sh', '-c', f'trap \"\" TERM HUP INT; sleep {DURATION}; :'])",
    "one without the mark": "subprocess.Popen(['sleep', DURATION], env={})",
}


def sleepers(duration: str) -> list[int]:
    return [p.pid for p in psutil.process_iter(["cmdline"]) if duration in " ".join(p.info["cmdline"] or ())]


@pytest.mark.parametrize(("how", "end"), [*((how, "1") for how in STARTERS), ("a double fork", "while True: pass")])
def test_no_process_outlives_its_notebook(bench: Bench, how: str, end: str) -> None:
    duration = f"6{os.getpid()}.{len(how)}"  # by which its processes are known
    count = f"sum({duration!r} in ' '.join(p.info['cmdline'] or ()) for p in psutil.process_iter(['cmdline']))"
    wait = f"while not {count}: time.sleep(0.05)"
    result = bench.run(
        f"import psutil, subprocess, time\nDURATION = {duration!r}", STARTERS[how], wait, end, cell_timeout=6.0
    )
    assert result.status == ("passed" if end == "1" else "timeout")
    assert result.failure is None or result.failure.cell == 4
    assert sleepers(duration) == []


def test_a_thread_that_never_ends_does_not_keep_a_notebook_from_passing(bench: Bench) -> None:
    source = "import threading, time; threading.Thread(target=lambda: time.sleep(600)).start()"
    assert bench.run(source).status == "passed"


# Bad input


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not valid JSON"),
        ("{", "not valid JSON"),
        ("[]", "not a notebook"),
        ("{}", "not a notebook"),
        ("[" * 100_000, "not valid JSON"),
        ('{"nbformat": 4, "nbformat_minor": 4, "metadata": {}}', "no list of cells"),
        ('{"nbformat": 99, "cells": []}', "not a valid notebook"),
        ('{"nbformat": 4, "cells": [3]}', "cell 1 is not an object"),
        ('{"nbformat": 4, "cells": [{"cell_type": "code"}]}', "cell 1 has no source"),
        ('{"nbformat": 3, "metadata": {}}', "not a valid notebook"),
    ],
)
def test_what_is_no_notebook_fails_with_the_reason(bench: Bench, text: str, says: str) -> None:
    result = bench.run_text(text)
    assert result.status == "failed"
    assert says in result.reason


def test_a_missing_file_fails(bench: Bench) -> None:
    job = Job(
        id="j",
        notebook="no.ipynb",
        group="g",
        python="3.11",
        root=str(bench.root),
        run_dir=str(bench.run_dir),
        run_id=bench.run_id,
    )
    assert run_job(job).status == "failed"


def test_a_notebook_without_code_passes_without_a_kernel(bench: Bench) -> None:
    markdown = {"cell_type": "markdown", "source": "# Title", "metadata": {}}
    for cells in ([], [markdown], document("", "  \n")["cells"]):
        result = bench.run_text(json.dumps({**document(), "cells": cells}), prefix="/nowhere")
        assert result.status == "passed"
        assert result.log == ""


def test_an_old_format_runs(bench: Bench) -> None:
    cell = {"cell_type": "code", "language": "python", "input": ["x = 1\n", "x / 0"], "outputs": [], "metadata": {}}
    text = json.dumps({"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": ""}, "worksheets": [{"cells": [cell]}]})
    result = bench.run_text(text)
    assert (result.status, result.failure and result.failure.ename) == ("failed", "ZeroDivisionError")


@pytest.mark.parametrize(
    "name", ["nb/a b.ipynb", 'nb/it\'s "q".ipynb', "ünï/ço∂é 数.ipynb", "-rf.ipynb", "$HOME/`x`.ipynb", "{0}.ipynb"]
)
def test_any_path_works(bench: Bench, name: str) -> None:
    result = bench.run(f"import os; print(os.path.exists({Path(name).name!r}), os.getcwd())", notebook=name)
    assert result.status == "passed"
    assert bench.text_of(result).startswith("True")
    assert result.executed == f"executed/3.11-core/{name}"


def test_a_stale_kernelspec_is_not_trusted(bench: Bench) -> None:
    stale = {"kernelspec": {"name": "python37464bitbaseconda52eab", "display_name": "x", "language": "python"}}
    assert bench.run_text(json.dumps(document("1", **stale))).status == "passed"


def test_odd_metadata_does_no_harm(bench: Bench) -> None:
    text = document("print(1)")
    text["cells"][0]["metadata"] = {"tags": None, "execution": 3}
    assert bench.run_text(json.dumps(text)).status == "passed"


# Binding


def test_without_an_interpreter_the_verdict_is_environment(bench: Bench) -> None:
    result = bench.run("1", prefix="/nowhere")
    assert result.status == "environment"
    assert "/nowhere/bin/python" in result.reason


def test_an_interpreter_that_cannot_be_run_is_the_environments_fault(bench: Bench, tmp_path: Path) -> None:
    prefix = tmp_path / "broken"
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin" / "python").write_bytes(b"\x7fnonsense")
    (prefix / "bin" / "python").chmod(0o755)
    result = bench.run("1", prefix=str(prefix))
    assert result.status == "environment"
    assert "cannot be run" in result.reason


def test_an_environment_without_ipykernel_is_at_fault(bench: Bench, tmp_path: Path) -> None:
    prefix = tmp_path / "bare"
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin" / "python").write_text(f'#!/bin/sh\nexec "{bench.prefix}/bin/python" -S "$@"\n', encoding="utf-8")
    (prefix / "bin" / "python").chmod(0o755)
    result = bench.run("1", prefix=str(prefix))
    assert result.status == "environment"
    assert "ipykernel" in result.reason


def test_a_kernel_in_another_environment_is_found_out(bench: Bench, tmp_path: Path) -> None:
    prefix = tmp_path / "other"
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin" / "python").write_text(f'#!/bin/sh\nexec "{bench.prefix}/bin/python" "$@"\n', encoding="utf-8")
    (prefix / "bin" / "python").chmod(0o755)
    result = bench.run("open('ran', 'w')", prefix=str(prefix))
    assert result.status == "environment"
    assert str(prefix) in result.reason
    assert result.cells == ()


# Tags and edits


@pytest.mark.parametrize(
    ("cells", "options", "status", "executed"),
    [
        ([("1/0", ["skip-execution"]), "'b'"], {}, "passed", ["", "'b'"]),
        ([("1/0", ["raises-exception"]), "'b'"], {}, "passed", ["", "'b'"]),
        (["1/0", "'b'"], {"allow_errors": True}, "passed", ["", "'b'"]),
        (["n = 2", "n"], {"edits": Edits(replace={"n = 2": "n = 3"})}, "passed", ["", "3"]),
        (["plot()", "'b'"], {"edits": Edits(skip_cells=("plot(",))}, "passed", ["", "'b'"]),
        (["'a'", "# stop here", "1/0"], {"edits": Edits(stop_at="# stop")}, "passed", ["'a'", "", ""]),
        ([("n = 1", ["parameters"]), "n"], {"edits": Edits(parameters={"n": 5})}, "passed", ["", "", "5"]),
        (["n"], {"edits": Edits(parameters={"n": float("inf")})}, "passed", ["", "inf"]),
        (["1"], {"edits": Edits(replace={"absent": "x"})}, "failed", None),
        (["1"], {"edits": Edits(parameters={"not a name": 1})}, "failed", None),
    ],
)
def test_tags_and_settings(
    bench: Bench, cells: list[Cell], options: dict[str, Any], status: str, executed: list[str] | None
) -> None:
    result = bench.run(*cells, **options)
    assert result.status == status
    if executed is not None:
        assert [bench.text_of(result, i) for i in range(len(executed))] == executed


def test_a_setting_that_fits_nothing_is_named(bench: Bench) -> None:
    result = bench.run("1", edits=Edits(replace={"absent": "x"}))
    assert "replace" in result.reason
    assert "'absent'" in result.reason


def test_an_allowed_error_is_told(bench: Bench) -> None:
    assert bench.run("1/0", allow_errors=True).reason == "errors are allowed, and cell 1 raised ZeroDivisionError"


def test_the_failing_cells_number_is_that_of_the_file_even_after_injection(bench: Bench) -> None:
    result = bench.run(("n = 1", ["parameters"]), "1/0", edits=Edits(parameters={"n": 5}))
    assert result.failure is not None
    assert result.failure.cell == 2


# Output


def test_a_flood_of_output_is_cut_and_says_so(bench: Bench) -> None:
    result = bench.run("for i in range(50_000): print('x' * 100)", "print('after')", output=10_000)
    assert result.status == "passed"
    text = bench.text_of(result, 0)
    assert "output cut" in text
    assert 10_000 <= len(text) < 10_500
    assert bench.text_of(result, 1) == "after\n"


def test_a_flood_of_rich_output_is_cut(bench: Bench) -> None:
    source = "from IPython.display import display, HTML\nfor i in range(100): display(HTML('y' * 1000))"
    result = bench.run(source, output=20_000)
    cell = bench.executed(result)["cells"][0]
    assert len(json.dumps(cell)) < 40_000
    assert "output cut" in bench.text_of(result)


def test_what_is_cleared_or_updated_does_not_count(bench: Bench) -> None:
    cleared = (
        "from IPython.display import clear_output\nfor i in range(50):\n    clear_output()\n    print(i, 'z' * 1000)"
    )
    updated = "h = display('', display_id=True)\nfor i in range(50): h.update('u' * 1000)"
    result = bench.run(cleared, updated, output=10_000)
    assert "output cut" not in bench.text_of(result, 0) + bench.text_of(result, 1)
    assert bench.text_of(result, 0).startswith("49 ")
    assert "uuu" in bench.text_of(result, 1)


def test_stale_output_is_not_kept(bench: Bench) -> None:
    result = bench.run("1", ("2", ["skip-execution"]))
    assert "stale" not in json.dumps(bench.executed(result))


WIDGET = """
from comm import create_comm
state = {"_model_name": "OutputModel", "_model_module": "@jupyter-widgets/output", "outputs": [], "msg_id": ""}
widget = create_comm(target_name="jupyter.widget", data={"state": state, "buffer_paths": []})
message = get_ipython().kernel.get_parent()["header"]["msg_id"]
widget.send({"method": "update", "state": {"msg_id": message}, "buffer_paths": []})
print("into the widget", flush=True)
"""


def test_a_reply_that_comes_while_a_widgets_output_is_sent_is_read(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = OutputWidget.sync_state

    def late(*arguments: Any) -> None:
        time.sleep(1.0)  # so that the cell's reply is there, and not noticed yet
        send(*arguments)

    monkeypatch.setattr(OutputWidget, "sync_state", late)
    result = bench.run(WIDGET, "print('after')", cell_timeout=15.0)
    assert (result.status, result.reason) == ("passed", "")
    assert bench.text_of(result, 1) == "after\n"


def test_text_that_has_no_utf8_does_no_harm(bench: Bench) -> None:
    assert bench.run("print('\\ud800 ok')").status in {"passed", "failed"}


def test_the_executed_copy_is_a_valid_notebook(bench: Bench) -> None:
    result = bench.run("print(1)", "1/0")
    library: Any = nbformat
    library.validate(library.from_dict(bench.executed(result)))


# NotebookState


def environment_of(bench: Bench, **options: Any) -> dict[str, str]:
    result = bench.run("import os, json; print(json.dumps(dict(os.environ)))", **options)
    read: dict[str, str] = json.loads(bench.text_of(result))
    return read


def test_a_notebook_sees_only_what_it_may(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "s")
    monkeypatch.setenv("WANTED_ONE", "w")
    monkeypatch.setenv("EXACT", "e")
    monkeypatch.setenv("LC_TEST", "l")
    seen = environment_of(bench, pass_env=("WANTED_*", "EXACT"), env={"MINE": "m", "OMP_NUM_THREADS": "7"}, cores=3)
    assert "SECRET_TOKEN" not in seen
    assert [seen[name] for name in ("WANTED_ONE", "EXACT", "LC_TEST", "MINE")] == ["w", "e", "l", "m"]
    assert (seen["OMP_NUM_THREADS"], seen["MKL_NUM_THREADS"]) == ("7", "3")
    assert seen["VIRTUAL_ENV"] == str(bench.prefix)
    assert seen["PATH"].split(os.pathsep)[1] == str(bench.prefix / "bin")
    assert seen[RUN_MARK] == bench.run_id


def test_a_persons_own_ipython_profile_does_not_leak_in(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    startup = tmp_path / "home" / ".ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "00.py").write_text("leaked = 1", encoding="utf-8")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert bench.run("leaked").status == "failed"


def test_relative_paths_and_local_modules_resolve(bench: Bench) -> None:
    (bench.root / "data").mkdir()
    (bench.root / "data" / "x.csv").write_text("1,2", encoding="utf-8")
    (bench.root / "nb").mkdir()
    (bench.root / "nb" / "helper.py").write_text("value = 3", encoding="utf-8")
    assert (
        bench.run("assert open('../data/x.csv').read() == '1,2'", "import helper; assert helper.value == 3").status
        == "passed"
    )


LAZY = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("lazy", "lazy.py")
spec.loader = importlib.util.LazyLoader(spec.loader)
module = sys.modules["lazy"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
"""


def test_a_module_that_loads_when_it_is_used_is_not_loaded_by_being_looked_at(bench: Bench) -> None:
    (bench.root / "nb").mkdir()
    (bench.root / "nb/lazy.py").write_text("open('loaded.txt', 'w').close()\n", encoding="utf-8")
    result = bench.run(LAZY, "1", want_modules=True)
    assert (result.status, result.left_behind) == ("passed", ())


REPLACED = """
import os, json, subprocess, warnings
from unittest import mock
os.environ["MPLBACKEND"] = "agg"
for name in ("os.getcwd", "os.getpid", "os.open", "os.write", "os.close", "os.fsdecode", "json.dumps", "os.path.join",
             "os.path.normpath", "os.path.exists", "builtins.sorted"):
    with mock.patch(name) as replaced:
        open("data.csv").close()
        calls = list(replaced.mock_calls)
    assert not calls, (name, calls)
for name in ("os.getcwd", "os.path.exists", "json.dumps"):
    with mock.patch(name) as replaced:
        subprocess.run(["true"])
        warnings.warn(name)
        calls = list(replaced.mock_calls)
    assert not calls, (name, calls)
"""


def test_what_watches_a_notebook_is_no_part_of_what_the_notebook_replaces(bench: Bench) -> None:
    (bench.root / "nb").mkdir()
    (bench.root / "nb/data.csv").write_text("1", encoding="utf-8")
    result = bench.run(REPLACED)
    assert (result.reason, result.status) == ("", "passed")
    assert result.reading is not None
    assert "nb/data.csv" in {look.path for look in result.reading.looks}
    assert result.warning_count == 3


def test_what_could_not_be_told_for_want_of_a_descriptor_makes_a_pass_count_for_nothing(bench: Bench) -> None:
    full = "import os\nheld = []\ntry:\n    while True: held.append(os.dup(0))\nexcept OSError: pass\n"
    looked = "there = os.path.exists('absent.csv')\nfor number in held: os.close(number)"
    result = bench.run("import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))", full + looked, "1")
    assert result.status == "passed"
    assert result.reading is not None
    assert "no file or no room was left" in result.reading.hindrance


def test_the_source_tree_is_untouched_and_what_is_left_behind_is_listed(bench: Bench) -> None:
    (bench.root / "nb").mkdir()
    (bench.root / "nb" / "in.txt").write_text("before", encoding="utf-8")
    result = bench.run(
        "open('in.txt', 'w').write('after')", "open('new.txt', 'w').write('n')", "open('../up.txt', 'w')"
    )
    assert (bench.root / "nb" / "in.txt").read_text(encoding="utf-8") == "before"
    assert result.left_behind == ("nb/in.txt", "nb/new.txt", "up.txt")
    assert not (bench.root / "nb" / "new.txt").exists()
    assert not (bench.root / "up.txt").exists()


def test_modules_are_told_when_wanted(bench: Bench) -> None:
    assert bench.run("import colorsys").modules == ()
    modules = bench.run("import colorsys", want_modules=True).modules
    assert "colorsys" in modules
    assert len(modules) > 100


# Our own faults


def test_a_fault_of_the_worker_itself_is_never_a_pass(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(*_: Any, **__: Any) -> None:
        raise ValueError("our own bug")

    monkeypatch.setattr(prepare, "prepare", explode)
    result = bench.run("1")
    assert result.status == "crashed"
    assert "our own bug" in result.reason
    assert result.failure is not None
    assert "explode" in result.failure.traceback


def test_jobs_run_side_by_side_in_one_process(bench: Bench) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(2) as pool:
        run: Callable[[int], Result] = lambda i: bench.run(f"print({i})", notebook=f"n{i}.ipynb", id=f"side{i}")  # noqa: E731
        assert [r.status for r in pool.map(run, range(2))] == ["passed", "passed"]


SHOWN = (
    "class Shown:\n    def _repr_html_(self):\n        raise KeyError('k')\n"
    "class Text:\n    def __repr__(self):\n        raise KeyError('k')"
)
ERRORS = {
    "plain": (["1 / 0"], "raised ZeroDivisionError"),
    "syntax": (["x ="], "raised SyntaxError"),
    "run": (["%run broken.py"], "raised ValueError: broken"),
    "run that exits": (["%run exits.py"], "raised SystemExit: 3"),
    "run that exits well": (["%run ends.py"], ""),
    "run, then more": (["%run broken.py\nprint(1)"], "raised ValueError: broken"),
    "rich display": ([SHOWN, "Shown()"], "raised KeyError: 'k'"),
    "display": ([SHOWN, "display(Shown())"], "raised KeyError: 'k'"),
    "repr": ([SHOWN, "Text()"], "raised KeyError: 'k'"),
    "debugger": (["%pdb on", "1 / 0"], "raised ZeroDivisionError"),
    "capture": (["%%capture\n1 / 0"], "raised ZeroDivisionError"),
    "script cell": (["%%bash\nexit 3"], "raised CalledProcessError"),
    "thread": (["import threading\nt = threading.Thread(target=lambda: 1 / 0)\nt.start(); t.join()"], ""),
    "printed": (["import traceback\ntry:\n    1 / 0\nexcept ZeroDivisionError:\n    traceback.print_exc()"], ""),
    "shown on purpose": (
        ["try:\n    1 / 0\nexcept ZeroDivisionError:\n    get_ipython().showtraceback()"],
        "raised Zero",
    ),
    "exception as a value": (["ValueError('x')"], ""),
    "getpass": (["import getpass; getpass.getpass()"], "asks for input"),
    "input": (["input()"], "asks for input"),
}


@pytest.mark.parametrize(("cells", "says"), ERRORS.values(), ids=ERRORS)
def test_an_error_fails_its_cell_on_whatever_channel_it_comes(bench: Bench, cells: list[str], says: str) -> None:
    folder = bench.root / "nb"
    folder.mkdir()
    for name, text in (("broken", "raise ValueError('broken')"), ("exits", "exit(3)"), ("ends", "exit(0)")):
        (folder / f"{name}.py").write_text(text.replace("exit", "import sys; sys.exit"), encoding="utf-8")
    result = bench.run(*cells)
    assert result.status == ("failed" if says else "passed"), result.reason
    assert says in result.reason


def test_a_cell_on_which_the_kernel_never_answers_fails_long_before_its_limit(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_client, "REPLY_SECONDS", 0.5)
    result = bench.run("x = " + " + ".join(["1"] * 6000))
    assert result.status == "failed"
    assert "RecursionError" in result.reason


SEND = "kernel = get_ipython().kernel\nkernel.send_response(kernel.iopub_socket, {!r}, {!r})".format
INVALID = {
    "text": "display({'text/plain': 5}, raw=True)",
    "traceback": "class Odd(Exception):\n    def _render_traceback_(self): return None\nraise Odd",
    "stream": SEND("stream", {"text": "x"}),
    "no data": SEND("display_data", {}),
}


@pytest.mark.parametrize("cell", INVALID.values(), ids=INVALID)
def test_an_output_that_is_none_is_the_notebooks_failure_and_what_else_it_shows_is_kept(
    bench: Bench, cell: str
) -> None:
    result = bench.run(f"print('before')\n{cell}", "print('never')")
    assert result.status == "failed"
    assert result.reason.startswith("cell 1 sent an output that no notebook can hold: ")
    assert bench.text_of(result).startswith("before")
    assert bench.text_of(result, 1) == ""


def test_what_is_no_message_at_all_is_the_notebooks_failure(bench: Bench) -> None:
    result = bench.run("get_ipython().kernel.iopub_socket.send(b'x')", "1")
    assert result.status == "failed"
    assert "a message that cannot be read, ValueError" in result.reason


@pytest.mark.parametrize(
    "last", ["import sys; sys.stdout = None", "get_ipython().kernel.do_execute = None"], ids=["no stream", "no method"]
)
def test_a_kernel_that_can_answer_no_question_after_its_last_cell_has_passed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    monkeypatch.setattr(questions, "_PATIENCE", 2.0)
    result = bench.run("1", last, warm_start=WarmStart(want_modules=True))
    assert (result.status, result.reason, result.modules) == ("passed", "", ())
    assert result.reading is not None
    assert result.reading.hindrance  # so that the pass counts for nothing the next time


def test_a_kernel_that_gave_no_answer_is_asked_nothing_more(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(session, "finish_reading", asked.append)
    result = bench.run("import sys; sys.stdout = None", "1")
    assert (result.status, asked) == ("failed", [])
    assert "the kernel was done with cell 2 and gave no answer" in result.reason


IN_THE_WAY = """
import os
from ipykernel.connect import get_connection_file
folder = os.path.dirname(get_connection_file())
for name in {*os.listdir(folder), "void", "read", "warned", "opened", "failed", "installs"}:
    path = os.path.join(folder, name)
    if not os.path.isdir(path):
        if os.path.lexists(path):
            os.remove(path)
        if name != "failed":
            os.mkfifo(path)
"""


@pytest.mark.timeout(90)
def test_pipes_in_the_place_of_what_the_worker_reads_do_not_keep_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(questions, "_PATIENCE", 2.0)  # seconds for the kernel, which writes into them
    result = bench.run(IN_THE_WAY, "2")
    assert (result.status, result.reason) == ("passed", "")
    assert result.reading is not None
    assert result.reading.hindrance


def test_a_verdict_stands_where_the_executed_copy_cannot_be_written(bench: Bench) -> None:
    bench.run_dir.mkdir()
    (bench.run_dir / "executed").write_text("in the way")
    result = bench.run("1 / 1")
    assert (result.status, result.executed) == ("passed", "")
    assert "its executed copy could not be written" in result.reason


@pytest.fixture(params=["namespace", "copies"])
def isolation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, bench: Bench) -> str:
    wanted: str = request.param
    if wanted == "copies":
        monkeypatch.setenv(CHOICE, "copies")
    choose_isolation.cache_clear()
    chosen, reason = choose_isolation(bench.root)
    if chosen != wanted:
        pytest.skip(f"no namespaces here: {reason}")
    return wanted


@pytest.fixture(autouse=True)
def forget_the_isolation() -> Iterator[None]:
    yield
    choose_isolation.cache_clear()


WRITES = {
    "git": ".git/config",
    "virtualenv": ".venv/pyvenv.cfg",
    "hidden": ".hidden/h",
    "far": "many/d350/file",
    "beside": "nb/data.txt",
}


@pytest.mark.parametrize("path", WRITES.values(), ids=WRITES)
def test_what_a_notebook_writes_through_its_own_tree_is_held_or_fails_it(
    bench: Bench, isolation: str, path: str
) -> None:
    for number in range(360):
        (bench.root / f"many/d{number}").mkdir(parents=True)
        (bench.root / f"many/d{number}/file").write_text("before", encoding="utf-8")
    for name in {*WRITES.values()} - {WRITES["far"]}:
        (bench.root / name).parent.mkdir(exist_ok=True, parents=True)
        (bench.root / name).write_text("before", encoding="utf-8")
    result = bench.run(f"open('../{path}', 'a').write('after')")
    held = (bench.root / path).read_text(encoding="utf-8") == "before"
    assert result.isolation == isolation
    if isolation == "namespace":
        assert (held, result.status, result.left_behind) == (True, "passed", (path,))
    else:
        assert held or (result.status == "failed" and path in result.reason)


def test_a_notebook_sees_the_project_at_its_own_path(bench: Bench, isolation: str) -> None:
    result = bench.run("import os; os.getcwd()")
    at_home = f"'{bench.root}/nb'" in bench.text_of(result)
    assert at_home is (isolation == "namespace")


def test_what_a_notebook_deletes_is_told_and_stays(bench: Bench, isolation: str) -> None:
    (bench.root / "nb").mkdir()
    (bench.root / "nb/data.txt").write_text("1", encoding="utf-8")
    result = bench.run("import os; os.remove('data.txt')")
    assert (bench.root / "nb/data.txt").exists()
    assert result.status == "passed"
    if isolation == "namespace":
        assert result.left_behind == ("nb/data.txt (deleted)",)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere only a mark tells whose a process is")
@pytest.mark.parametrize("end", ["import time; time.sleep(0.3)", "import os; os._exit(3)"])
def test_a_daemon_without_any_mark_does_not_outlive_its_notebook(bench: Bench, isolation: str, end: str) -> None:
    seconds = f"98765{len(isolation)}.{len(end)}"
    start = f"import subprocess; subprocess.Popen('setsid env -i sleep {seconds} &', shell=True).wait()"
    result = bench.run(start, end)
    assert result.status == ("crashed" if "exit" in end else "passed")
    assert "exit" not in end or "exit code 3" in result.reason
    assert [p for p in psutil.process_iter(["cmdline"]) if seconds in (p.info["cmdline"] or ())] == []


def test_memory_that_forked_processes_share_counts_once(bench: Bench) -> None:
    source = (
        "import os, time\nhold = b'x' * (300 * 2**20)\nchildren = [os.fork() for _ in range(2)]\n"
        "if 0 in children:\n    time.sleep(2)\n    os._exit(0)\ntime.sleep(1)"
    )
    result = bench.run(source, memory=800 * 2**20)
    assert (result.status, result.reason) == ("passed", "")


@pytest.mark.parametrize(("deed", "phrase"), [("os._exit(9)", "exit code 9"), ("os.kill(os.getpid(), 11)", "SIGSEGV")])
def test_how_a_kernel_ended_is_told_across_namespaces(bench: Bench, deed: str, phrase: str) -> None:
    result = bench.run(f"import os; {deed}")
    assert result.status == "crashed"
    assert phrase in result.reason
