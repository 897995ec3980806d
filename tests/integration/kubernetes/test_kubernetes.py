"""Promises of runs on Kubernetes, kept with a stand-in whose pods are processes of this machine."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import psutil
import pytest
from fakes import until
from kube_api import Cluster, Fault
from kube_project import KubeProject
from nodes_project import SHORT_MARGIN, VERSIONS, run_id, stop_worker, waits_at_first

from envsolver.run.parsl.kubernetes import RUN_LABEL
from envsolver.run.parsl.kubernetes_api import RIGHTS
from envsolver.worker.processes import RUN_MARK

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

SLOW = 240.0
"""How long a run may take until its first notebook runs, its environment built, on a machine that is busy."""

LONG = "import time, pathlib; pathlib.Path('{flag}').touch(); time.sleep(600)"
"""A cell that says outside its notebook's sight that it runs."""


def running_pod(project: KubeProject) -> str:
    """Return the one pod that runs."""
    (name,) = (name for name, phase in project.kube.phases().items() if phase == "Running")
    return name


def script(pod: dict[str, Any]) -> str:
    return str(pod["spec"]["containers"][0]["command"][-1])


def test_notebooks_run_in_pods_with_the_verdicts_of_one_machine(project: KubeProject) -> None:
    project.notebook("good.ipynb", "import os; assert os.environ['VIRTUAL_ENV']")
    project.notebook("bad.ipynb", "1 / 0")
    printed = project.run()
    assert project.verdicts() == {"good.ipynb": "passed", "bad.ipynb": "failed"}, printed
    (pod,) = project.kube.created
    name = pod["metadata"]["name"]
    assert all(result["worker"].startswith(f"{name}/") for result in project.results().values())
    assert f"Kubernetes: pod {name} Running on n1" in printed
    assert (pod["spec"]["restartPolicy"], pod["spec"]["activeDeadlineSeconds"]) == ("Never", 600)


def test_the_keys_of_the_connection_reach_a_pod_by_a_secret_alone(project: KubeProject) -> None:
    flag = project.flag
    project.notebook("a.ipynb", *waits_at_first(flag))
    started = project.start()
    until(flag.exists, SLOW)
    (secret,) = project.kube.store.find("secrets")
    assert {"client.key_secret", "server.key"} <= secret["data"].keys()
    (pod,) = project.kube.pods()
    assert pod["spec"]["volumes"][-1]["secret"] == {"secretName": secret["metadata"]["name"]}
    assert '--cert_dir "$certificates"' in script(pod)
    os.kill(started.pid, signal.SIGINT)
    project.finish(started)  # which waits until the Secret is gone


def test_24_notebooks_of_three_groups_have_their_verdicts_though_a_pod_is_evicted(project: KubeProject) -> None:
    project.three_groups()
    flag = project.flag
    project.notebook("old/0.ipynb", *waits_at_first(flag))
    started = project.start()
    mark = until(lambda: flag.read_text() if flag.exists() else "", SLOW)  # it has the pod's name in it
    evicted = next(name for name in project.kube.phases() if name in mark)
    project.kube.nodes.evict(evicted, "The node was low on resource: memory.")
    run = run_id(started)
    printed = project.finish(started)
    found = project.results()
    assert project.verdicts() == {name: "failed" if "bad" in name else "passed" for name in found}, printed
    assert len(found) == 24
    assert found["old/0.ipynb"]["attempts"] == 2
    assert not found["old/0.ipynb"]["worker"].startswith(f"{evicted}/")
    assert f"pod {evicted} Failed (Evicted: The node was low on resource: memory." in printed
    pods = {name: {each["worker"].split("/")[0] for key, each in found.items() if name in key} for name in VERSIONS}
    assert pods["old"].isdisjoint(pods["new"])
    assert not project.left(run)


LOSSES: dict[str, tuple[Callable[[Cluster, str], object], str]] = {
    "deleted": (lambda kube, name: kube.delete("pods", "default", name, 0), "it was deleted"),
    # A pod that ends at once is gone before anybody sees why.
    "evicted": (lambda kube, name: kube.evict("default", name), "Eviction API: evicting|it was deleted"),
    "oom": (lambda kube, name: kube.nodes.oom(name), "OOMKilled, exit code 137"),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_a_notebook_whose_pod_is_lost_runs_again_and_then_is_lost_in_the_clusters_words(
    loss: str, project: KubeProject
) -> None:
    strike, words = LOSSES[loss]
    flag = project.flag
    project.notebook("a.ipynb", LONG.format(flag=flag))
    started = project.start()
    for _ in range(2):
        until(flag.exists, SLOW)
        flag.unlink()
        strike(project.kube, running_pod(project))
    printed = project.finish(started)
    assert project.verdicts() == {"a.ipynb": "lost"}, printed
    assert project.results()["a.ipynb"]["attempts"] == 2
    assert re.search(words, printed)
    assert "Kubernetes: pod envsolver-" in project.results()["a.ipynb"]["reason"]


def test_a_worker_that_hangs_is_given_up_with_its_pod_long_after_its_notebooks_limit(project: KubeProject) -> None:
    project.command = [sys.executable, "-c", SHORT_MARGIN]
    project.configure("timeout = 12\n", **{"max-blocks": "1"})  # with room for the start of a kernel on a busy machine
    say = f"import os, pathlib; pathlib.Path('{project.flag}').write_text(os.environ['{RUN_MARK}'])"
    project.notebook("a.ipynb", say, "import time; time.sleep(3)")
    started = project.start("--cold")
    mark = until(lambda: project.flag.read_text() if project.flag.exists() else "", SLOW)
    stop_worker(mark)
    printed = project.finish(started)
    assert project.verdicts() == {"a.ipynb": "passed"}, printed
    assert "(nothing came from its worker long after its limit); trying again" in printed
    assert len(project.kube.created) == 2


def test_a_pod_that_reaches_its_walltime_runs_its_notebook_again(project: KubeProject) -> None:
    project.configure(walltime='"00:00:45"')
    project.notebook("a.ipynb", *waits_at_first(project.flag))
    printed = project.run()
    assert project.verdicts() == {"a.ipynb": "passed"}, printed
    assert "DeadlineExceeded" in printed


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"image": '"registry/missing:1"'}, 'failed to pull and unpack image "registry/missing:1": not found)'),
        (
            {"pod-template": '"unmounted.yaml"'},
            'FailedMount: MountVolume.SetUp failed for volume "v" : secret "nosuch"',
        ),
        ({"persistent-volumes": '[["nosuch", "/x"]]'}, 'Unschedulable: persistentvolumeclaim "nosuch" not found'),
        ({"pod-template": '"detached.yaml"', "connect-deadline": "5"}, "its workers have not come within 5 s"),
        ({"worker-init": '"echo no such module >&2; exit 3"'}, "no such module, exit code 3"),
        ({"python": '"/no/such/python"'}, "/no/such/python"),
        # As where a network policy keeps pods from what is outside.
        ({"worker-init": '"sleep 600"', "connect-deadline": "5"}, "its workers have not come within 5 s"),
        ({"init-cpu": "900", "start-deadline": "3"}, "no block started within 3 s: Kubernetes: pod"),
        ({"pod-template": '"pod.yaml"'}, "nodeSelectr"),
        ({"namespace": '"nosuch"'}, 'namespaces "nosuch" not found (404)'),
    ],
)
def test_a_profile_that_gets_no_pod_is_told_in_the_clusters_words(
    changes: dict[str, str], said: str, project: KubeProject
) -> None:
    (project.root / "pod.yaml").write_text("spec: {nodeSelectr: {disk: ssd}}\n")
    for name, volume in (("unmounted", "secret: {secretName: nosuch}"), ("detached", "nfs: {server: nosuch, path: /}")):
        (project.root / f"{name}.yaml").write_text(f"spec: {{volumes: [{{name: v, {volume}}}]}}\n")
    project.configure(**changes)
    project.notebook("a.ipynb", "pass")
    printed = project.run()
    assert project.verdicts() == {"a.ipynb": "environment"}, printed
    assert said in project.results()["a.ipynb"]["reason"]


def test_a_template_of_pods_and_the_groups_cores_and_memory_are_in_the_pods(project: KubeProject) -> None:
    (project.root / "pod.yaml").write_text(
        "metadata: {labels: {team: a}}\n"
        "spec:\n"
        "  tolerations: [{key: batch}]\n"
        "  containers: [{name: envsolver, env: [{name: FROM_TEMPLATE, value: '1'}]}]\n"
    )
    group = 'pass-env = ["FROM_TEMPLATE"]\n[groups.base]\ncores = 2\nmemory = "1GiB"\n'
    project.configure(group, **{"pod-template": '"pod.yaml"'})
    project.notebook("a.ipynb", "import os; assert os.environ['FROM_TEMPLATE'] == '1'")
    printed = project.run()
    assert project.verdicts() == {"a.ipynb": "passed"}, printed
    (pod,) = project.kube.created
    assert (pod["metadata"]["labels"]["team"], pod["spec"]["tolerations"]) == ("a", [{"key": "batch"}])
    wanted = pod["spec"]["containers"][0]["resources"]
    assert (wanted["requests"]["cpu"], wanted["limits"]["memory"]) == ("4", "2432Mi")


def test_a_registry_that_fails_for_a_while_costs_no_pod(project: KubeProject) -> None:
    project.kube.nodes.failing_pulls["registry/notebooks:1"] = 2
    project.notebook("a.ipynb", "pass")
    printed = project.run()
    assert project.verdicts() == {"a.ipynb": "passed"}, printed
    (pod,) = project.kube.created
    assert re.search(rf"pod {pod['metadata']['name']} Pending \(ErrImagePull: .*failed to pull and unpack", printed)


def test_while_the_api_takes_no_pods_the_run_waits(project: KubeProject) -> None:
    project.notebook("a.ipynb", "pass")
    project.kube.faults.append(Fault("POST", "pods", status=429, times=3))
    printed = project.run()
    assert project.verdicts() == {"a.ipynb": "passed"}, printed
    assert printed.count("the scheduler has not answered: Kubernetes: the tests want it so") == 3


def test_a_run_asks_for_the_rights_that_are_written_down_and_for_no_others(project: KubeProject) -> None:
    project.kube.nodes.failing_pulls["registry/notebooks:1"] = 1
    project.notebook("a.ipynb", "pass")
    printed = project.run()
    assert project.verdicts() == {"a.ipynb": "passed"}, printed
    assert project.kube.asked == {(verb, resource) for resource, verbs in RIGHTS.items() for verb in verbs}


def test_what_one_may_not_delete_is_named_with_the_command_and_told_before_a_run_by_the_check(
    project: KubeProject,
) -> None:
    project.notebook("a.ipynb", "pass")
    project.kube.forbidden = {("delete", "pods"), ("list", "events")}
    check = [sys.executable, "-m", "envsolver", "profiles", "--check"]
    told = subprocess.run(check, cwd=project.root, env=project.environ, capture_output=True, text=True, check=False)
    assert "namespace default: may not delete pods: docs/clusters.md shows the Role that is needed" in told.stderr
    assert told.returncode == 2
    printed, _ = project.start().communicate(timeout=300)
    assert project.verdicts() == {"a.ipynb": "passed"}, printed
    (pod,), (secret,) = (project.kube.store.find(kind) for kind in ("pods", "secrets"))
    left = f"pods/{pod['metadata']['name']} secrets/{secret['metadata']['name']}"
    assert f"`kubectl delete --namespace=default {left}` deletes what is left, by one who may" in printed
    for kind, each in (("pods", pod), ("secrets", secret)):
        project.kube.delete(kind, "default", each["metadata"]["name"], 0)


def test_while_the_api_hangs_a_run_is_interrupted_in_bounded_time_and_says_what_is_left(project: KubeProject) -> None:
    flag = project.flag
    project.notebook("a.ipynb", LONG.format(flag=flag))
    started = project.start()
    until(flag.exists, SLOW)
    fault = Fault("(GET|DELETE)", seconds=60)
    project.kube.faults.append(fault)
    os.kill(started.pid, signal.SIGINT)
    printed, _ = started.communicate(timeout=60)
    assert started.returncode == 130, printed
    assert "not given back: blocks envsolver-" in printed
    fault.times = 0
    until(lambda: set(project.kube.phases().values()) <= {"Succeeded", "Failed"})  # they find no run
    for kind in ("pods", "secrets"):
        for each in project.kube.store.find(kind):
            project.kube.delete(kind, "default", each["metadata"]["name"], 0)


def test_an_api_server_that_restarts_in_the_middle_costs_no_pod(project: KubeProject) -> None:
    project.notebook("a.ipynb", LONG.format(flag=project.flag).replace("600", "12"))
    started = project.start()
    until(project.flag.exists, SLOW)
    project.kube.stop_serving()
    time.sleep(6)  # in which it is asked several times
    project.kube.serve_again()
    printed = project.finish(started)
    assert project.verdicts() == {"a.ipynb": "passed"}, printed
    assert (project.results()["a.ipynb"]["attempts"], len(project.kube.created)) == (1, 1)


def test_when_parsls_interchange_is_killed_the_notebooks_run_again_in_other_pods(project: KubeProject) -> None:
    project.notebook("a.ipynb", *waits_at_first(project.flag))
    started = project.start()
    until(project.flag.exists, SLOW)
    run = run_id(started)
    servers = [each for each in psutil.Process(started.pid).children() if "fork_server.py" in " ".join(each.cmdline())]
    for interchange in [each for server in servers for each in server.children()]:
        interchange.kill()
    printed = project.finish(started)
    assert project.verdicts() == {"a.ipynb": "passed"}, printed
    assert project.results()["a.ipynb"]["attempts"] == 2
    assert "the interchange of its pools of workers ended" in printed
    until(lambda: not project.left(run))


def test_while_the_api_fails_the_pods_that_are_there_go_on(project: KubeProject) -> None:
    flag = project.flag
    project.notebook("a.ipynb", f"import pathlib, time; pathlib.Path('{flag}').touch(); time.sleep(5)")
    started = project.start()
    until(flag.exists, SLOW)
    project.kube.faults.append(Fault("GET", status=500, times=4))
    project.kube.faults.append(Fault("DELETE", status=500, times=2))
    printed = project.finish(started)
    assert project.verdicts() == {"a.ipynb": "passed"}, printed
    assert project.results()["a.ipynb"]["attempts"] == 1
    assert [each.times for each in project.kube.faults] == [0, 0]


def test_an_interrupted_run_leaves_no_pod(project: KubeProject) -> None:
    flag = project.flag
    project.notebook("a.ipynb", LONG.format(flag=flag))
    started = project.start()
    until(flag.exists, SLOW)
    run = run_id(started)
    os.kill(started.pid, signal.SIGINT)
    printed = project.finish(started)
    assert started.returncode == 130, printed
    until(lambda: not project.left(run))


def test_the_pods_of_a_killed_run_end_by_themselves_and_are_found_by_its_label(project: KubeProject) -> None:
    flag = project.flag
    project.notebook("a.ipynb", LONG.format(flag=flag))
    started = project.start()
    until(flag.exists, SLOW)
    run = run_id(started)
    started.kill()
    started.communicate(timeout=60)
    until(lambda: not project.left(run))
    until(lambda: set(project.kube.phases().values()) <= {"Succeeded", "Failed"})
    (pod,) = project.kube.pods(f"{RUN_LABEL}={run}")
    assert time.time() - flag.stat().st_mtime < pod["spec"]["activeDeadlineSeconds"]


def test_with_an_address_that_this_machine_does_not_have_nothing_is_begun(project: KubeProject) -> None:
    project.configure(address='"192.0.2.1"')
    project.notebook("a.ipynb", "pass")
    started = project.start()
    printed = project.finish(started)
    assert started.returncode == 2, printed
    assert "profiles.nodes.address: cannot be listened at: Cannot assign requested address" in printed
    assert project.kube.created == []


def test_without_a_cluster_that_is_configured_nothing_is_begun(project: KubeProject) -> None:
    project.environ["KUBECONFIG"] = str(project.root / "nosuch")
    project.notebook("a.ipynb", "pass")
    started = project.start()
    printed = project.finish(started)
    assert started.returncode == 2, printed
    assert "profiles.nodes.provider: finds no cluster" in printed
