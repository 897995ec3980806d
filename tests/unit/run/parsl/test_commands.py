"""Promise: a command of a scheduler is never awaited for ever, whatever it does, and leaves no process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psutil
import pytest
from fakes import until

from envsolver.core.profiles import Profile, ProfileSettings
from envsolver.run.parsl.commands import ask
from envsolver.run.parsl.providers import make_provider
from envsolver.run.scheduler.protocols import PoolRequest


def test_what_a_command_prints_and_ends_with_is_returned() -> None:
    assert ask("echo out; echo err >&2; exit 3", 30) == (3, "out\n", "err\n")


def test_a_command_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    code, output, error = ask(f"echo $$ > {tmp_path}/pid; sleep 600 & sleep 600", 0.5)
    assert code != 0
    assert (output, error) == ("", "echo has not answered within 0.5 s")
    group = int((tmp_path / "pid").read_text())
    until(lambda: not psutil.pid_exists(group))


def test_a_command_that_hands_its_output_to_something_that_stays_is_not_waited_for() -> None:
    assert ask("sleep 600 &", 0.5).error == "sleep has not answered within 0.5 s"


def test_bytes_that_are_no_text_are_no_failure() -> None:
    assert ask(r"printf '\377\376 job'", 30).output.endswith(" job")


def test_a_command_that_is_not_there_says_so() -> None:
    code, _, error = ask("no-such-scheduler-command", 30)
    assert code == 127
    assert "not found" in error


@pytest.mark.parametrize("name", ["slurm", "pbspro", "gridengine", "lsf"])
def test_each_schedulers_commands_end_when_their_time_is_up(name: str, tmp_path: Path) -> None:
    profile = Profile(name="p", settings=ProfileSettings(provider=name, workers_per_node=1))
    provider: Any = make_provider(profile, "", PoolRequest(prefix=tmp_path, workers=1, cores=1), "run")
    assert provider.execute_wait("sleep 600", 0.5)[2] == "sleep has not answered within 0.5 s"
