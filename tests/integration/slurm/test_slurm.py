"""Promises of runs on a cluster, kept with a real Slurm of three virtual nodes."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest
from fakes import until
from nodes_project import SHORT_MARGIN, run_id, stop_worker, waits_at_first
from slurm_cluster import NODES, ClusterProject, Faults

from envsolver.run.history import History
from envsolver.worker.processes import RUN_MARK

pytestmark = pytest.mark.integration

SLOW = 240.0
"""How long a run may take until its first notebook runs, its environment built, on a machine that is busy."""

LONG = "import time, pathlib; pathlib.Path('{flag}').touch(); time.sleep({seconds})"
"""A cell that says outside its notebook's sight that it runs."""


def test_notebooks_run_on_nodes_with_the_verdicts_of_one_machine(project: ClusterProject) -> None:
    project.notebook("good.ipynb", "import os; assert os.environ['VIRTUAL_ENV']")
    project.notebook("bad.ipynb", "1 / 0")
    printed = project.run()
    assert project.verdicts() == {"good.ipynb": "passed", "bad.ipynb": "failed"}, printed
    assert all(result["worker"].startswith(("n1/", "n2/", "n3/")) for result in project.results().values())
    assert re.search(r"Slurm: job \d+ RUNNING on n\d", printed)


def test_groups_that_exclude_each_other_run_side_by_side_on_different_nodes(project: ClusterProject) -> None:
    project.group("old", "packaging==24.0\n")
    project.group("new", "packaging==25.0\n")
    settings = "".join(f'[groups.{name}]\nnotebooks = ["{name}/**"]\n' for name in ("old", "new"))
    project.configure(settings)
    for name, version in (("old", "24.0"), ("new", "25.0")):
        for number in range(3):
            project.notebook(f"{name}/{number}.ipynb", f"import packaging; assert packaging.__version__ == '{version}'")
    printed = project.run()
    assert set(project.verdicts().values()) == {"passed"}, printed
    nodes = {name.split("/")[0]: result["worker"].split("/")[0] for name, result in project.results().items()}
    assert nodes["old"] != nodes["new"]


def test_a_group_runs_under_the_profile_that_it_names_while_the_rest_stays(project: ClusterProject) -> None:
    project.group("torch", "# only the kernel\n")
    first = 'provider = "slurm"\npartition = "first"\ncores-per-node = 1\npoll = 1\naddress = "127.0.0.1"\n'
    project.configure(f'[groups.torch]\nnotebooks = ["torch/**"]\nprofile = "gpu"\n[profiles.gpu]\n{first}')
    where = "import os; assert os.environ.get('SLURM_JOB_PARTITION') is None"  # which no notebook sees
    for name in ("torch/a.ipynb", "b.ipynb"):
        project.notebook(name, where)
    printed = project.run()
    assert set(project.verdicts().values()) == {"passed"}, printed
    partitions = project.slurm.ask("squeue", "--states=all", "--noheader", "--format=%P %i").splitlines()
    asked = {line.split()[0] for line in partitions if f"job {line.split()[1]} " in printed}
    assert asked == {"first", "main"}


def test_a_notebook_whose_block_is_cancelled_runs_again_on_another(project: ClusterProject, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    project.notebook("a.ipynb", *waits_at_first(flag))
    started = project.start()
    until(flag.exists, SLOW)
    run = run_id(started)
    (block,) = project.slurm.jobs()
    project.slurm.ask("scancel", block)
    printed = project.finish(started)
    assert project.verdicts() == {"a.ipynb": "passed"}, printed
    assert project.results()["a.ipynb"]["attempts"] == 2
    assert f"Slurm: job {block} CANCELLED" in printed
    until(lambda: not project.left(run))


def test_when_a_node_dies_all_notebooks_have_their_verdicts(project: ClusterProject, tmp_path: Path) -> None:
    project.three_groups()
    flag = tmp_path / "flag"
    project.notebook("old/0.ipynb", *waits_at_first(flag))
    started = project.start()
    until(flag.exists, SLOW)
    run = run_id(started)
    node = project.slurm.node_with(until(flag.read_text))
    project.slurm.kill_node(node)
    try:
        printed = project.finish(started)
    finally:
        project.slurm.revive_node(node)
    found = project.results()
    assert project.verdicts() == {name: "failed" if "bad" in name else "passed" for name in found}, printed
    assert len(found) == 24
    assert found["old/0.ipynb"]["attempts"] == 2
    assert not found["old/0.ipynb"]["worker"].startswith(f"{node}/")
    assert not project.left(run)


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_when_parsls_interchange_falls_silent_the_notebooks_run_again(
    project: ClusterProject, tmp_path: Path, sent: signal.Signals
) -> None:
    flag = tmp_path / "flag"
    project.notebook("a.ipynb", *waits_at_first(flag))
    started = project.start()
    until(flag.exists, SLOW)
    run = run_id(started)
    servers = [each for each in psutil.Process(started.pid).children() if "fork_server.py" in " ".join(each.cmdline())]
    for interchange in [each for server in servers for each in server.children()]:
        interchange.send_signal(sent)
    printed = project.finish(started)
    assert project.verdicts() == {"a.ipynb": "passed"}, printed
    assert project.results()["a.ipynb"]["attempts"] == 2
    assert "the interchange of its pools of workers" in printed
    until(lambda: not project.left(run))


def test_a_worker_that_hangs_is_given_up_with_its_block_long_after_its_notebooks_limit(
    project: ClusterProject, tmp_path: Path
) -> None:
    project.command = [sys.executable, "-c", SHORT_MARGIN]
    project.configure("timeout = 12\n", **{"max-blocks": "1"})  # with room for the start of a kernel on a busy machine
    flag = tmp_path / "flag"
    project.notebook(
        "a.ipynb",
        f"import os, pathlib; pathlib.Path('{flag}').write_text(os.environ['{RUN_MARK}'])",
        "import time; time.sleep(3)",
    )
    started = project.start("--cold")
    for _ in range(2):
        stop_worker(until(lambda: flag.read_text() if flag.exists() else "", SLOW))
        flag.unlink()
    printed = project.finish(started)
    assert project.verdicts() == {"a.ipynb": "lost"}, printed
    assert "nothing came from its worker long after its limit" in project.results()["a.ipynb"]["reason"]
    assert len(set(re.findall(r"job (\d+) RUNNING", printed))) == 2


def test_a_block_that_reaches_its_walltime_runs_its_notebook_again(project: ClusterProject, tmp_path: Path) -> None:
    project.configure(walltime='"00:01:00"')
    project.notebook("a.ipynb", *waits_at_first(tmp_path / "flag"))
    printed = project.run()
    assert project.verdicts() == {"a.ipynb": "passed"}, printed
    assert "TIMEOUT" in printed


def test_a_notebook_that_walltime_cuts_each_time_is_lost_in_slurms_words(project: ClusterProject) -> None:
    project.configure(walltime='"00:01:00"')
    project.notebook("a.ipynb", "import time; time.sleep(600)")
    printed = project.run()
    assert project.verdicts() == {"a.ipynb": "lost"}, printed
    assert re.search(r"; Slurm: job \d+ TIMEOUT", project.results()["a.ipynb"]["reason"])


def test_a_notebook_that_would_not_end_in_its_block_is_handed_back_and_runs_in_the_next(
    project: ClusterProject,
) -> None:
    project.configure("timeout = 50", walltime='"00:01:00"', **{"max-blocks": "1", "workers-per-node": "1"})
    project.notebook("first.ipynb", "import time; time.sleep(20)")
    project.notebook("second.ipynb", "pass")
    printed = project.run()
    found = project.results()
    assert project.verdicts() == {"first.ipynb": "passed", "second.ipynb": "passed"}, printed
    assert [result["attempts"] for result in found.values()] == [1, 1]
    assert found["first.ipynb"]["block"] != found["second.ipynb"]["block"]
    assert "second.ipynb waits for another block" in printed


def test_a_notebook_whose_blocks_are_always_cancelled_is_lost_in_slurms_words(
    project: ClusterProject, tmp_path: Path
) -> None:
    flag = tmp_path / "flag"
    project.notebook("a.ipynb", LONG.format(flag=flag, seconds=600))
    started = project.start()
    for _ in range(2):
        until(flag.exists, SLOW)
        flag.unlink()
        project.slurm.ask("scancel", *project.slurm.jobs("RUNNING"))
    printed = project.finish(started)
    assert project.verdicts() == {"a.ipynb": "lost"}, printed
    assert "CANCELLED" in project.results()["a.ipynb"]["reason"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"partition": '"nosuch"'}, "invalid partition"),
        ({"worker-init": '"echo no such module >&2; exit 3"'}, "no such module"),
        ({"worker-init": '"sleep 600"', "connect-deadline": "3"}, "its workers have not come within 3 s"),
        ({"python": '"/no/such/python"'}, "/no/such/python"),
        ({"scheduler-options": '"#SBATCH --hold"'}, "JobHeldUser"),
        ({"partition": '"down"', "start-deadline": "5"}, "no block started within 5 s: Slurm: job"),
        ({"partition": '"down"', "start-deadline": "5"}, "(PartitionDown)"),
        ({"partition": '"inactive"'}, "Slurm: sbatch: error"),
        ({"walltime": '"02:00:00"'}, "(PartitionTimeLimit)"),
    ],
)
def test_a_profile_that_gets_no_block_is_told_in_the_schedulers_words(
    changes: dict[str, str], said: str, project: ClusterProject
) -> None:
    project.configure(**changes)
    project.notebook("a.ipynb", "pass")
    begun = time.monotonic()
    printed = project.run()
    assert project.verdicts() == {"a.ipynb": "environment"}, printed
    assert said in project.results()["a.ipynb"]["reason"]
    assert time.monotonic() - begun < 90


GONE = "(Unable to contact slurm controller|Connection refused|has not answered within)"
UNHEARD = "Socket timed out on send/recv operation"


def test_answers_of_slurm_that_do_not_come_cost_no_block_and_no_attempt(
    project: ClusterProject, tmp_path: Path
) -> None:
    flag, faults = tmp_path / "flag", Faults(project, tmp_path)
    project.notebook("a.ipynb", LONG.format(flag=flag, seconds=8))
    faults.set("sbatch", f'$real "$@" > /dev/null; echo "sbatch: error: {UNHEARD}" >&2; exit 1')
    started = project.start()
    until(flag.exists, SLOW)
    for answer in ("exit 0", "echo nonsense", "sleep 600"):
        faults.set("squeue", answer)
        time.sleep(2.5)
    faults.end("squeue")
    printed = project.finish(started)
    assert project.verdicts() == {"a.ipynb": "passed"}, printed
    assert project.results()["a.ipynb"]["attempts"] == 1
    assert len(re.findall(r"job \d+ RUNNING", printed)) == 1
    assert "COMPLETED" not in printed


def test_a_run_ends_though_slurms_controller_has_gone_for_ever_and_says_what_is_left(
    project: ClusterProject, tmp_path: Path
) -> None:
    flag = tmp_path / "flag"
    project.notebook("a.ipynb", LONG.format(flag=flag, seconds=5))
    started = project.start()
    until(flag.exists, SLOW)
    (block,) = project.slurm.jobs()
    project.slurm.kill_controller()
    try:
        printed, _ = started.communicate(timeout=300)
    finally:
        project.slurm.revive_controller()
    assert project.verdicts() == {"a.ipynb": "passed"}, printed
    assert re.search(rf"not given back: blocks {block}: .*{GONE}", printed)
    until(project.idle)


def test_a_notebook_that_waits_for_a_controller_that_has_gone_is_told_so_in_bounded_time(
    project: ClusterProject, tmp_path: Path
) -> None:
    short = "import envsolver.run.parsl.cluster as c; c.SILENT_SECONDS = 5; from envsolver.cli import main; main()"
    project.command = [sys.executable, "-c", short]
    flag = tmp_path / "flag"
    project.notebook("a.ipynb", *waits_at_first(flag))
    started = project.start()
    until(flag.exists, SLOW)
    node = project.slurm.node_with(until(flag.read_text))
    project.slurm.kill_controller()
    project.slurm.kill_node(node)
    try:
        printed, _ = started.communicate(timeout=300)
    finally:
        project.slurm.revive_controller()
        project.slurm.revive_node(node)
    assert project.verdicts() == {"a.ipynb": "environment"}, printed
    reason = project.results()["a.ipynb"]["reason"]
    assert re.search(f"the scheduler has not answered for .*{GONE}", reason)
    until(project.idle)


def test_an_interrupted_run_says_which_blocks_it_could_not_cancel_and_they_end(
    project: ClusterProject, tmp_path: Path
) -> None:
    flag, faults = tmp_path / "flag", Faults(project, tmp_path)
    project.notebook("a.ipynb", LONG.format(flag=flag, seconds=600))
    started = project.start()
    until(flag.exists, SLOW)
    run = run_id(started)
    (block,) = project.slurm.jobs()
    faults.set("scancel", f'echo "scancel: error: Kill job error on job id {block}: {UNHEARD}" >&2; exit 1')
    os.kill(started.pid, signal.SIGINT)
    printed = project.finish(started)  # it waits until no block is left
    assert started.returncode == 130, printed
    assert f"not given back: blocks {block}: scancel: error: Kill job error on job id {block}: {UNHEARD}" in printed
    until(lambda: not project.left(run))


def test_a_block_that_is_preempted_runs_its_notebook_again(project: ClusterProject, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    project.notebook("a.ipynb", *waits_at_first(flag))
    started = project.start()
    until(flag.exists, SLOW)
    project.slurm.ask("sbatch", "--partition=first", "--nodes=3", "--exclusive", "--output=/dev/null", "--wrap=sleep 5")
    printed = project.finish(started)
    assert project.verdicts() == {"a.ipynb": "passed"}, printed
    assert "PREEMPTED" in printed


def test_an_interrupted_run_leaves_no_block(project: ClusterProject, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    project.notebook("a.ipynb", LONG.format(flag=flag, seconds=600))
    started = project.start()
    until(flag.exists, SLOW)
    run = run_id(started)
    os.kill(started.pid, signal.SIGINT)
    printed = project.finish(started)
    assert started.returncode == 130, printed
    until(lambda: not project.left(run))


def test_the_blocks_of_a_killed_run_end_by_themselves(project: ClusterProject, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    project.notebook("a.ipynb", LONG.format(flag=flag, seconds=600))
    started = project.start()
    until(flag.exists, SLOW)
    run = run_id(started)
    started.kill()
    project.finish(started)
    until(lambda: not project.left(run))


def test_a_drained_node_gets_no_more_notebooks(project: ClusterProject) -> None:
    project.slurm.ask("scontrol", "update", "nodename=n1", "state=drain", "reason=test")
    try:
        for number in range(6):
            project.notebook(f"{number}.ipynb", "import time; time.sleep(1)")
        printed = project.run()
    finally:
        project.slurm.ask("scontrol", "update", "nodename=n1", "state=resume")
    assert set(project.verdicts().values()) == {"passed"}, printed
    assert not any(result["worker"].startswith("n1/") for result in project.results().values())


def test_a_nodes_kernels_are_forked_from_its_own_template_whose_facts_come_home(project: ClusterProject) -> None:
    for number in range(4):
        project.notebook(f"{number}.ipynb", "import time; time.sleep(2)")
    printed = project.run()
    assert all(result["warm"] for result in project.results().values()), printed
    (facts,) = History(project.root / ".envsolver" / "history.sqlite").template_facts().values()
    assert json.loads(facts)["baseline"]


def test_a_job_array_runs_each_notebook_once_and_a_job_after_it_joins_the_results(project: ClusterProject) -> None:
    for number in range(6):
        project.notebook(f"{number}.ipynb", "pass" if number else "1 / 0")
    folder = "shards/$SLURM_ARRAY_TASK_ID"
    array = project.batch(f"run --shard auto --run-dir {folder}", "--array=0-2")
    merge = project.batch("merge shards -o merged", f"--dependency=afterany:{array}")
    until(lambda: merge in project.slurm.jobs("COMPLETED,FAILED"))
    assert project.verdicts("merged") == {f"{number}.ipynb": "passed" if number else "failed" for number in range(6)}
    assert len(list(project.root.glob("shards/*/results.json"))) == 3


def test_a_part_of_an_array_whose_node_dies_runs_again_and_counts_once(project: ClusterProject, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    project.notebook("0.ipynb", *waits_at_first(flag))
    for number in range(1, 6):
        project.notebook(f"{number}.ipynb", "pass")
    folder = "shards/$SLURM_ARRAY_TASK_ID-${SLURM_RESTART_COUNT:-0}"
    array = project.batch(f"run --shard auto --run-dir {folder}", "--array=0-2", "--requeue")
    merge = project.batch("merge shards -o merged", f"--dependency=afterany:{array}")
    until(flag.exists, SLOW)
    node = project.slurm.node_with(until(flag.read_text))
    project.slurm.kill_node(node)
    try:
        project.slurm.give_up_node(node)
        (waiting,) = set(project.slurm.jobs("PENDING")) - {merge}
        project.slurm.ask("scontrol", "update", f"jobid={waiting}", "starttime=now")  # it would wait for two minutes
        until(lambda: merge in project.slurm.jobs("COMPLETED,FAILED"))
    finally:
        project.slurm.revive_node(node)
    found = project.verdicts("merged")
    assert found.keys() == {f"{number}.ipynb" for number in range(6)}
    assert set(found.values()) <= {
        "passed",
        "cached",
    }  # what had passed before the node died is cached when it runs again
    assert found["0.ipynb"] == "passed"
    assert len(list(project.root.glob("shards/*/results.json"))) == 4


def test_nodes_with_a_disk_of_their_own_build_the_environments_that_their_jobs_need(unshared: ClusterProject) -> None:
    unshared.configure(**{"node-environments": "true"})
    for number in range(2):
        unshared.notebook(f"{number}.ipynb", "pass")
    printed = unshared.run()
    assert set(unshared.verdicts().values()) == {"passed"}, printed
    nodes = {result["worker"].partition("/")[0] for result in unshared.results().values()}
    assert all(list(unshared.slurm.disk_of(node).glob("environments/*/env/bin/python")) for node in nodes)


def test_a_node_that_cannot_build_an_environment_says_why(unshared: ClusterProject) -> None:
    unshared.configure(**{"node-environments": "true", "worker-init": '"export UV_NO_BINARY=1"'})
    unshared.notebook("a.ipynb", "pass")
    printed = unshared.run()
    assert unshared.verdicts() == {"a.ipynb": "environment"}, printed
    assert "uv's settings differ" in unshared.results()["a.ipynb"]["reason"]


def test_a_node_that_does_not_see_the_project_is_said_to_and_no_notebook_is_blamed(
    unseen: ClusterProject, tmp_path: Path
) -> None:
    unseen.notebook("a.ipynb", "pass")
    printed = unseen.run("--run-dir", str(tmp_path / "run"))
    (result,) = json.loads((tmp_path / "run" / "results.json").read_text())["results"]
    assert result["status"] == "environment", printed
    assert f"does not see the notebook {unseen.root}/a.ipynb" in result["reason"]
    assert 'project = "send"' in result["reason"]


def test_what_nodes_would_write_into_a_runs_folder_that_they_do_not_see_is_not_begun(unseen: ClusterProject) -> None:
    unseen.notebook("a.ipynb", "pass")
    printed = unseen.run()
    assert unseen.verdicts() == {"a.ipynb": "environment"}, printed
    assert f"does not see the run's folder {unseen.root}/.envsolver/runs/" in unseen.results()["a.ipynb"]["reason"]
    assert not any(list(unseen.slurm.disk_of(node).iterdir()) for node in NODES if unseen.slurm.disk_of(node).exists())
