"""A real Slurm on this machine: its daemons in a private folder, on loopback, with several virtual nodes."""

from __future__ import annotations

import getpass
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from nodes_project import NodesProject, environ

from envsolver.run.parsl.task import NODE_RUN
from envsolver.worker.processes import RUN_MARK, kill_all

NODES = ("n1", "n2", "n3")
PROGRAMS = ("slurmctld", "slurmd", "munged", "munge", "sbatch", "squeue", "scancel", "sinfo", "scontrol")
START_SECONDS = 60.0
PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])

PROFILE = """\
[profiles.nodes]
provider = "slurm"
partition = "main"
exclusive = true
cores-per-node = 2
walltime = "00:10:00"
max-blocks = 3
poll = 1
address = "127.0.0.1"
"""

_CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge/munge.socket
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
PreemptType=preempt/partition_prio
PreemptMode=CANCEL
ReturnToService=2
KillWait=2
MinJobAge=300
SlurmdTimeout=300
SlurmdParameters=config_overrides
SchedulerParameters=sched_min_interval=0,batch_sched_delay=0,bf_interval=1
{nodes}
PartitionName=main Nodes=ALL Default=YES MaxTime=60 State=UP PriorityTier=1
PartitionName=first Nodes=ALL MaxTime=60 State=UP PriorityTier=10
PartitionName=down Nodes=ALL MaxTime=60 State=DOWN
PartitionName=inactive Nodes=ALL MaxTime=60 State=INACTIVE
"""


def missing() -> list[str]:
    """Return the programs that this machine lacks."""
    return [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]


@dataclass
class Slurm:
    """A cluster that runs.

    Attributes
    ----------
    folder
        Its private folder.
    environ
        The variables by which its commands find it.
    private
        A folder in whose place each node sees a disk of its own.
    """

    folder: Path
    environ: dict[str, str]
    private: Path | None = None
    daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def ask(self, *command: str, check: bool = True, environ: dict[str, str] | None = None) -> str:
        """Run one of Slurm's commands and return what it prints."""
        variables = environ or self.environ
        done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False, timeout=60)
        if check and done.returncode:
            raise RuntimeError(f"{command}: {done.stderr}")
        return done.stdout

    def jobs(self, *states: str) -> list[str]:
        """Return the ids of jobs in some states; of all that wait or run when none is named."""
        wanted = ["--states", ",".join(states)] if states else []
        return self.ask("squeue", "--noheader", "--format=%i", *wanted).split()

    def node_with(self, mark: str) -> str:
        """Return the node on which processes with a mark run."""
        found = (environ(process) for process in psutil.process_iter())
        return next(each["SLURMD_NODENAME"] for each in found if "SLURMD_NODENAME" in each and mark_of(each) == mark)

    def start_node(self, name: str) -> None:
        """Start a node's daemon."""
        if self.private is None:
            self._start(name, "slurmd", "-D", "-N", name)
            return
        disk = self.disk_of(name)
        disk.mkdir(exist_ok=True)
        mount = f"mount --bind {disk} {self.private} && exec slurmd -D -N {name}"
        self._start(name, "unshare", "--mount", "sh", "-c", mount)

    def disk_of(self, node: str) -> Path:
        """Return what a node sees in place of the private folder."""
        return self.folder / f"disk-{node}"

    def give_up_node(self, name: str) -> None:
        """Have Slurm know at once that a node is dead, for which it would wait minutes."""
        self.ask("scontrol", "update", f"nodename={name}", "state=down", "reason=test")

    def revive_node(self, name: str) -> None:
        """Start a dead node again; Slurm forgets at once what ran there."""
        self.give_up_node(name)
        self.start_node(name)
        self.ask("scontrol", "update", f"nodename={name}", "state=resume")

    def kill_node(self, name: str) -> None:
        """Have a node die at once, as by a cut of its power: its daemon, and all processes of its jobs."""
        self.daemons[name].kill()
        self.daemons[name].wait()
        kill_all(lambda: self._step_daemons(name))  # they would still tell the controller how their jobs ended
        here = {"SLURMD_NODENAME": name, "SLURM_CONF": self.environ["SLURM_CONF"]}.items()
        found = [environ(process) for process in psutil.process_iter()]
        marks = {mark for each in found if here <= each.items() and (mark := mark_of(each))}

        def processes() -> list[psutil.Process]:
            # A kernel has no variables of Slurm's.
            return [
                process
                for process in psutil.process_iter()
                if here <= (variables := environ(process)).items() or variables.get(RUN_MARK) in marks
            ]

        kill_all(processes)

    def _step_daemons(self, name: str) -> list[psutil.Process]:
        """Return a node's slurmstepd processes, which are known by its log alone."""
        log = str(self.folder / f"slurmd-{name}.log")
        named = [process for process in psutil.process_iter(["name"]) if process.info["name"] == "slurmstepd"]
        return [process for process in named if log in _open_files(process)]

    def wait_for_nodes(self) -> None:
        """Wait until every node is there and has nothing to do."""
        deadline = time.monotonic() + START_SECONDS
        while self.ask("sinfo", "--noheader", "--partition=main", "--format=%T %D", check=False).split() != [
            "idle",
            str(len(NODES)),
        ]:
            if time.monotonic() > deadline:
                logs = "\n".join(path.read_text()[-2000:] for path in self.folder.glob("*.log"))
                raise RuntimeError(f"the cluster did not start: {self.ask('sinfo', '-l', check=False)}\n{logs}")
            time.sleep(0.2)

    def _start(self, name: str, *command: str) -> None:
        program = shutil.which(command[0], path=PATH)
        assert program is not None
        log = (self.folder / f"{name}.out").open("ab")
        with log:
            self.daemons[name] = subprocess.Popen(
                [program, *command[1:]], env=self.environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def _munge_answers(self) -> bool:
        program = shutil.which("munge", path=PATH)
        assert program is not None
        asked = [program, "-n", "-S", str(self.folder / "munge" / "munge.socket")]
        return subprocess.run(asked, check=False, capture_output=True).returncode == 0

    def kill_controller(self) -> None:
        """Have Slurm's controller die at once."""
        self.daemons["slurmctld"].kill()
        self.daemons["slurmctld"].wait()

    def revive_controller(self) -> None:
        """Start it again, with all that it knew."""
        self._start("slurmctld", "slurmctld", "-D")
        deadline = time.monotonic() + START_SECONDS
        while "UP" not in self.ask("scontrol", "ping", check=False):
            if time.monotonic() > deadline:
                raise RuntimeError((self.folder / "slurmctld.log").read_text()[-2000:])
            time.sleep(0.2)

    def start(self) -> None:
        """Start all daemons."""
        munge = self.folder / "munge"
        options = [f"--{name}={munge}/{file}" for name, file in _MUNGE.items()]
        self._start("munged", "munged", "-F", "--force", *options)
        deadline = time.monotonic() + START_SECONDS
        while not self._munge_answers():
            if time.monotonic() > deadline:
                raise RuntimeError(f"munged did not start: {(self.folder / 'munged.out').read_text()}")
            time.sleep(0.1)
        self._start("slurmctld", "slurmctld", "-D", "-c")
        for node in NODES:
            self.start_node(node)
        self.wait_for_nodes()

    def stop(self) -> None:
        """Cancel all jobs, and end the daemons."""
        for job in self.jobs():
            self.ask("scancel", job, check=False)
        for name in (*NODES, "slurmctld", "munged"):
            daemon = self.daemons.get(name)
            if daemon is not None:
                daemon.terminate()
                try:
                    daemon.wait(20)
                except subprocess.TimeoutExpired:
                    daemon.kill()
                    daemon.wait()


def mark_of(variables: dict[str, str]) -> str | None:
    """Return the mark of a node's part of a run, or of a whole run that is a part of a job array."""
    return variables.get(NODE_RUN, variables.get(RUN_MARK) if "SLURM_ARRAY_JOB_ID" in variables else None)


def _open_files(process: psutil.Process) -> set[str]:
    try:
        return {each.path for each in process.open_files()}
    except (psutil.Error, OSError):
        return set()


_MUNGE = {
    "key-file": "munge.key",
    "socket": "munge.socket",
    "pid-file": "munged.pid",
    "log-file": "munged.log",
    "seed-file": "munged.seed",
}


@contextmanager
def cluster(folder: Path, private: Path | None = None) -> Iterator[Slurm]:
    """Run a cluster in a folder, and end it; its nodes have disks of their own in place of a private folder."""
    for name in ("munge", "state", *(f"spool-{node}" for node in NODES)):
        (folder / name).mkdir(mode=0o700)
    key = folder / "munge" / "munge.key"
    key.write_bytes(secrets.token_bytes(1024))
    key.chmod(0o600)
    host = socket.gethostname().partition(".")[0]
    with ExitStack() as stack:
        taken = [stack.enter_context(socket.socket()) for _ in range(len(NODES) + 1)]
        for each in taken:
            each.bind(("127.0.0.1", 0))
        ports = [each.getsockname()[1] for each in taken]
    nodes = "\n".join(
        f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=2 State=UNKNOWN"
        for node, port in zip(NODES, ports[1:], strict=True)
    )
    user = getpass.getuser()
    conf = folder / "slurm.conf"
    conf.write_text(_CONF.format(host=host, ports=ports, user=user, folder=folder, nodes=nodes))
    slurm = Slurm(folder, {**os.environ, "PATH": PATH, "SLURM_CONF": str(conf)}, private)
    try:
        slurm.start()
        yield slurm
    finally:
        slurm.stop()


class ClusterProject(NodesProject):
    """A project whose notebooks run on the cluster."""

    def __init__(self, slurm: Slurm, root: Path, cache: Path) -> None:
        self.slurm = slurm
        super().__init__(root, {**slurm.environ, "ENVSOLVER_CACHE_DIR": str(cache)}, PROFILE)

    def idle(self) -> bool:
        """Return whether no block is left; of a node that is dead, Slurm waits for minutes to hear of its end."""
        return not self.slurm.jobs("PENDING", "RUNNING")

    def batch(self, arguments: str, *options: str, before: str = "") -> str:
        """Have the cluster call envsolver, after other commands, and return the job's id."""
        script = f"{before}{sys.executable} -m envsolver {arguments}"
        asked = ("sbatch", "--parsable", "--exclusive", f"--chdir={self.root}", *options, f"--wrap={script}")
        return self.slurm.ask(*asked, environ=self.environ).strip()


class Faults:
    """Slurm's commands as a project's runs see them, each with a fault while a test wants one.

    Parameters
    ----------
    folder
        Where they lie, first on the path.
    """

    def __init__(self, project: ClusterProject, folder: Path) -> None:
        self._folder = folder
        for name in ("sbatch", "squeue", "scancel"):
            fault, real = folder / f"{name}.fault", shutil.which(name, path=PATH)
            command = folder / name
            command.write_text(f'#!/bin/sh\nreal={real}\n[ -e {fault} ] && . {fault}\nexec $real "$@"\n')
            command.chmod(0o755)
        project.environ = {**project.environ, "PATH": f"{folder}{os.pathsep}{project.environ['PATH']}"}

    def set(self, command: str, script: str) -> None:
        """Have a command do what a shell script says, which finds the real one as `$real`."""
        (self._folder / f"{command}.fault").write_text(f"{script}\n")

    def end(self, command: str) -> None:
        """Have a command work again."""
        (self._folder / f"{command}.fault").unlink()
