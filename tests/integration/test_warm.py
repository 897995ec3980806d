"""Promise: a warm kernel gives the verdict, and the outputs, that a cold one gives."""

from __future__ import annotations

import json
import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from fakes import until, with_options
from warm_bench import Bench, bench_at, modules_of, neutral
from warm_tables import ENDS, PLAIN, SCIENCE, TELLTALE

from envsolver.core.jobs import KernelHistory
from envsolver.core.results import Result
from envsolver.notebooks.read import read_notebook
from envsolver.worker import provisioner, session
from envsolver.worker.isolation import CHOICE, choose_isolation
from envsolver.worker.processes import RUN_MARK, marked, tree
from envsolver.worker.run_job import run_job

pytestmark = [
    pytest.mark.integration,
    pytest.mark.xdist_group("warm"),
    pytest.mark.timeout(900),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere kernels start cold"),
]

ALL = {**PLAIN, **SCIENCE, **TELLTALE}


@pytest.fixture(scope="module")
def cold(lib: Path, science_env: Path) -> Iterator[tuple[Bench, dict[str, tuple[Result, str]]]]:
    """Run every notebook cold, and remember what each loaded."""
    for bench in bench_at(lib, science_env, "cold"):
        found = {}
        for name, cells in ALL.items():
            result = run_job(bench.job(name, cells))
            found[name] = (result, bench.outputs(result))
        yield bench, found


@pytest.fixture(scope="module")
def warm(lib: Path, science_env: Path, cold: tuple[Bench, dict[str, tuple[Result, str]]]) -> Iterator[Bench]:
    """Yield the templates that serve every notebook, with all that history can know."""
    for bench in bench_at(lib, science_env, "warm"):
        jobs = [bench.job(name, cells) for name, cells in ALL.items()]
        bench.known = {
            job.id: KernelHistory(modules=result.modules)
            for job, (result, _) in zip(jobs, cold[1].values(), strict=True)
            if result.modules
        }
        bench.start(jobs)
        yield bench


@pytest.mark.parametrize("name", ALL)
def test_a_warm_kernel_cannot_be_told_from_a_cold_one(
    name: str, cold: tuple[Bench, dict[str, tuple[Result, str]]], warm: Bench
) -> None:
    expected, outputs = cold[1][name]
    result = warm.warm(warm.job(name, ALL[name]))
    if expected.good:
        assert (result.status, result.reason, result.warm_verdict, result.warm) == ("passed", "", "", True)
        assert warm.outputs(result).splitlines() == outputs.splitlines()
    else:
        assert result.warm_verdict == f"{expected.status}: {expected.reason}"
    assert result.left_behind == expected.left_behind


@pytest.mark.parametrize("name", [name for name in ALL if name.startswith("sys.modules")])
def test_a_notebook_never_seen_finds_only_what_it_imports(
    name: str, lib: Path, science_env: Path, cold: tuple[Bench, dict[str, tuple[Result, str]]]
) -> None:
    for bench in bench_at(lib, science_env, "unseen"):
        job = bench.job(name, ALL[name])
        bench.start([job])
        result = bench.warm(job)
        assert (result.status, result.warm) == ("passed", True)
        assert bench.outputs(result) == cold[1][name][1]


@pytest.mark.parametrize("name", ENDS)
def test_a_warm_kernel_ends_as_a_cold_one(name: str, lib: Path, science_env: Path) -> None:
    cells, options = ENDS[name]
    for bench in bench_at(lib, science_env, "ends"):
        job = bench.job(name, cells, **options)
        expected = run_job(job)
        bench.start([job])
        result = bench.warm(job)
        if name == "an endless loop":
            assert (result.status, result.reason, result.warm) == (expected.status, expected.reason, True)
            continue
        if name == "too much memory":  # how much was in use when it was noticed is chance
            assert result.warm_verdict.startswith("memory: the memory limit of 400 MiB was exceeded in cell 1")
        else:
            assert neutral(result.warm_verdict) == neutral(f"{expected.status}: {expected.reason}")
        assert (result.status, result.warm) == (expected.status, False)
        assert not expected.good


def test_random_state_is_fresh_in_each_kernel(bench: Bench) -> None:
    draws = "random.random(), np.random.rand(), np.random.default_rng().random(), own.random(), uuid.uuid4().hex"
    source = f"import random, uuid\nimport numpy as np\nfrom has_a_generator import own\n{draws}"
    job = bench.job("draws", [source])
    modules_of(bench, job)
    assert "numpy.random" in bench.known[job.id].modules
    bench.start([job])
    numbers: list[str] = []
    for _ in range(3):
        result = bench.warm(job)
        assert (result.status, result.warm) == ("passed", True)
        numbers += re.findall(r"[0-9a-f.]{12,}", bench.outputs(result))
    assert len(numbers) == len(set(numbers)) == 15


def test_what_a_notebook_imports_was_imported_before_and_is_seen_when_it_asks(bench: Bench) -> None:
    seen = "import sys\nprint('has_a_generator' in sys.modules, hasattr(sys.modules.get('xml'), 'dom'))"
    imports = "import numpy, xml.dom.minidom, knows_its_process as k, os\nprint('ahead', k.process != os.getpid())"
    job = bench.job("early", [seen, imports])
    modules_of(bench, job)
    bench.start([job])
    text = bench.outputs(bench.warm(job))
    assert "False False" in text
    assert "ahead True" in text


def test_nothing_that_a_warm_kernel_started_is_left(bench: Bench) -> None:
    source = (
        "import os, subprocess, sys, time\n"
        "subprocess.Popen(['sleep', '54321'], start_new_session=True)\n"
        "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        time.sleep(300)\n    os._exit(0)\n"
        "time.sleep(0.5)"
    )
    job = bench.job("starts", [source])
    templates = bench.start([job])
    result = bench.warm(job)
    assert (result.status, result.warm) == ("passed", True)
    assert marked("ENVSOLVER_JOB", job.mark) == []
    templates.stop()
    assert marked(RUN_MARK, bench.run_id) == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere only a mark tells whose a process is")
@pytest.mark.parametrize("isolation", ["namespace", "copies"])
def test_a_daemon_without_any_mark_that_a_warm_kernel_started_is_not_left(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, isolation: str
) -> None:
    monkeypatch.setenv(CHOICE, isolation)
    choose_isolation.cache_clear()
    seconds = f"87654{len(isolation)}.5"
    start = f"import subprocess; subprocess.Popen('setsid env -i sleep {seconds} &', shell=True).wait()"
    job = bench.job("daemon", [start])
    bench.start([job])
    result = bench.warm(job)
    choose_isolation.cache_clear()
    assert (result.status, result.warm) == ("passed", True)
    assert [p for p in psutil.process_iter(["cmdline"]) if seconds in (p.info["cmdline"] or ())] == []


def test_a_job_whose_variables_differ_starts_cold(bench: Bench) -> None:
    job = bench.job("differs", ["import os\nprint(os.environ['OTHER'])"])
    bench.start([job])
    result = bench.warm(with_options(job, env={**job.binding.env, "OTHER": "value"}))
    assert (result.status, result.warm, result.warm_verdict) == ("passed", False, "")


def test_a_job_whose_template_is_not_there_starts_cold(bench: Bench) -> None:
    job = bench.job("alone", ["1"])
    result = run_job(with_options(job, template=str(bench.root / "none.sock")))
    assert (result.status, result.warm) == ("passed", False)


def test_a_template_that_does_not_answer_is_waited_for_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provisioner, "TEMPLATE_SECONDS", 0.5)
    with socket.socket(socket.AF_UNIX) as stopped:
        stopped.bind(str(bench.root / "t.sock"))
        stopped.listen()
        jobs = [with_options(bench.job(name, ["1"]), template=stopped.getsockname()) for name in ("first", "second")]
        assert [(result.status, result.warm) for result in map(run_job, jobs)] == [("passed", False)] * 2
        stopped.settimeout(0)
        stopped.accept()[0].close()
        with pytest.raises(BlockingIOError):
            stopped.accept()


def test_a_job_that_must_be_cold_is(bench: Bench) -> None:
    job = bench.job("cold", ["1"])
    templates = bench.start([job])
    assert templates.path_for(with_options(job, cold=True)) == ""
    assert run_job(with_options(job, template=templates.path_for(job), cold=True)).warm is False


def test_the_end_of_a_template_ends_its_kernels_and_the_notebook_runs_cold(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Only there can a notebook reach its template.
    monkeypatch.setenv(CHOICE, "copies")
    choose_isolation.cache_clear()
    source = (
        "import os, time\n"  # between the two stands the kernel's keeper
        "parent = open(f'/proc/{os.getppid()}/stat').read().rpartition(')')[2].split()[1]\n"
        "if 'template_server.py' in open(f'/proc/{parent}/cmdline').read():\n"
        "    os.kill(int(parent), 9)\n    time.sleep(60)"
    )
    job = bench.job("orphan", [source])
    bench.start([job])
    result = bench.warm(job)
    choose_isolation.cache_clear()
    assert (result.status, result.warm) == ("passed", False)
    assert result.warm_verdict.startswith("crashed: the kernel was killed by SIGKILL")
    assert "passed in a cold kernel" in result.reason


def test_what_passes_cold_and_then_warm_is_flaky_and_fails(bench: Bench) -> None:
    place = bench.root.parent / "ran.txt"
    source = (
        f"import os\nbefore = os.path.exists({str(place)!r})\nopen({str(place)!r}, 'w').close()\nassert before, 'first'"
    )
    job = bench.job("flaky", [source])
    bench.start([job])
    result = bench.warm(job)
    place.unlink()
    before = "failed: cell 1 raised AssertionError: first"
    told = f"flaky: in a warm kernel {before}; then it passed in a cold one, and in a warm one as well"
    assert (result.status, result.reason, result.flaky) == ("failed", told, True)
    assert result.failure is not None


WARM = "import os\nwarm = 'template_server.py' in open(f'/proc/{os.getppid()}/cmdline').read()\nimport time\n"


@pytest.mark.parametrize(
    ("deed", "warm", "verdict"),
    [
        ("while warm: time.sleep(0.1)", False, "timeout: cell 1 was still running"),
        ("end = time.process_time() + 3 * warm\nwhile time.process_time() < end: pass", True, ""),
    ],
    ids=["waits", "computes"],
)
def test_a_warm_kernel_that_waits_gets_no_more_time_than_is_likely(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, deed: str, warm: bool, verdict: str
) -> None:
    monkeypatch.setattr(session, "WARM_PATIENCE_SECONDS", 1.0)
    job = bench.job("patience", [WARM + deed], expected=0.1)
    bench.start([job])
    result = bench.warm(job)
    assert (result.status, result.warm, result.warm_verdict.startswith(verdict)) == ("passed", warm, True)


RANDOM = "import os\nprint(os.urandom(8))"
DIFFERENT = WARM + "print('warm' if warm else 'cold')"


@pytest.mark.parametrize(
    ("cell", "status", "reason"),
    [
        ("print(1)", "passed", ""),
        (RANDOM, "passed", ""),
        (
            DIFFERENT,
            "failed",
            "cell 1 shows 'stdout: warm' in a warm kernel and 'stdout: cold' in a cold one (see verified/)",
        ),
        (
            WARM + "assert warm, 'cold'",
            "failed",
            "passed in a warm kernel; in a cold one, failed: cell 1 raised AssertionError: cold",
        ),
    ],
    ids=["the same", "random", "different", "only warm"],
)
def test_a_warm_pass_that_is_verified_counts_when_a_cold_kernel_shows_the_same(
    bench: Bench, cell: str, status: str, reason: str
) -> None:
    job = bench.job("verified", [cell])
    bench.start([job])
    result = bench.warm(with_options(job, verify=True))
    assert (result.status, result.reason, result.warm) == (status, reason, True)
    assert result.verified == result.good


def test_what_passes_only_cold_is_told(bench: Bench) -> None:
    source = "import os\nassert 'template_server.py' not in open(f'/proc/{os.getppid()}/cmdline').read(), 'warm'"
    job = bench.job("only cold", [source])
    bench.start([job])
    result = bench.warm(job)
    assert result.status == "passed"
    assert result.warm_verdict == "failed: cell 1 raised AssertionError: warm"
    assert result.reason == f"passed in a cold kernel; before, in a warm one, {result.warm_verdict}"
    assert 0 < result.start_seconds < result.seconds


def test_a_template_ends_with_its_controller(bench: Bench) -> None:
    job = bench.job("controller", ["1"])
    templates = bench.start([job])
    assert bench.warm(job).warm
    process = next(iter(templates._running.values())).process  # noqa: SLF001 only its owner holds the pipe that must close
    members = tree(process.pid)
    assert len(members) > 1
    assert templates.memory() > 10 * 2**20
    assert process.stdin is not None
    process.stdin.close()  # which the system does when the controller ends
    until(lambda: not any(member.is_running() and member.status() != "zombie" for member in members))


def test_what_a_template_found_out_is_of_use_to_the_next(bench: Bench) -> None:
    job = bench.job("learns", ["import prints_at_import, has_a_generator"])
    modules_of(bench, job)
    templates = bench.start([job])
    assert bench.warm(job).warm
    lesson = json.loads(templates.template_facts()["key"])
    assert lesson["excluded"] == ["prints_at_import"]
    assert "ipykernel.ipkernel" in lesson["baseline"]["modules"]
    assert "numpy" not in lesson["baseline"]["modules"]


def test_no_code_of_what_modules_hold_is_run_to_compare_it(bench: Bench) -> None:
    cells = [
        "import tells_who_asks_for_its_class as module",
        "import numpy\nmodule.thing = 1\nprint('asked', module.asked)",
    ]
    job = bench.job("compared", cells)
    modules_of(bench, job)
    bench.start([job])
    result = bench.warm(job)
    assert (result.status, result.warm) == ("passed", True)
    assert "asked []" in bench.outputs(result)


def test_what_made_one_attempt_void_is_spared_those_that_wait(bench: Bench) -> None:
    # Before the last import something is replaced that it could depend on.
    cells = ["import numpy, matplotlib.pyplot", "import matplotlib\nmatplotlib.is_interactive = lambda: False"]
    jobs = [bench.job(f"void {number}", [*cells, "import matplotlib.animation"]) for number in range(3)]
    for each in jobs:
        modules_of(bench, each)
    templates = bench.start(jobs)
    void = bench.warm(jobs[0])
    assert void.status == "passed"
    assert void.warm_verdict.startswith("void: "), void.warm_verdict
    templates.learn(jobs[0], void)
    others = [bench.warm(each) for each in jobs[1:]]
    assert [(result.status, result.warm, result.warm_verdict) for result in others] == [("passed", True, "")] * 2
    assert "matplotlib.animation" in others[0].modules


def test_a_first_pass_in_a_warm_kernel_teaches_what_a_cold_one_would(bench: Bench) -> None:
    lazy = "def later():\n    import xml.dom.minidom, numpy.polynomial\nlater()"
    job = bench.job("teaches", ["import numpy as np\nimport matplotlib.pyplot as plt", lazy])
    cold = run_job(job)
    bench.start([job], {job.notebook: read_notebook(bench.root, job.notebook)})
    warm = bench.warm(job)
    assert (warm.status, warm.warm) == ("passed", True)
    assert {"xml.dom.minidom", "matplotlib.pyplot"} <= set(warm.modules)
    assert set(warm.modules) == set(cold.modules)


def test_a_warm_kernel_does_not_abort_when_it_ends(bench: Bench) -> None:
    # Sockets of the template's, closed a second time by number, would be ZeroMQ's by then.
    job = bench.job("ends well", ["1"])
    bench.start([job])
    result = bench.warm(job)
    assert (result.status, result.warm) == ("passed", True)
    assert "Fatal Python error" not in (bench.run_dir / result.log).read_text(encoding="utf-8")


def test_many_kernels_at_once_come_from_one_template(bench: Bench) -> None:
    from concurrent.futures import ThreadPoolExecutor

    job = bench.job("many", ["import os, time\ntime.sleep(0.2)\nos.getppid()"])
    bench.start([job])
    path = bench.templates.path_for(job) if bench.templates else ""
    jobs = [with_options(job, id=f"many{number}", template=path) for number in range(6)]
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(run_job, jobs))
    assert [(result.status, result.warm) for result in results] == [("passed", True)] * 6
