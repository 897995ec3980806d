"""Promise: what Slurm does not say is not made up: no answer is no end of a block, and no block is forgotten."""

from __future__ import annotations

from pathlib import Path

import pytest
from parsl.jobs.states import JobState

from envsolver.run.parsl.blocks import SilentError
from envsolver.run.parsl.slurm import HEADING, SlurmBlocks

UNREACHED = "echo 'sbatch: error: Batch job submission failed: Socket timed out on send/recv operation' >&2; exit 1"


class FakeSlurm:
    """Slurm's commands as shell scripts, which write down how they were called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.does("sbatch", "echo Submitted batch job 7")
        self.does("squeue", f"echo '{HEADING}'")
        self.does("scancel", "exit 0")

    def does(self, command: str, script: str) -> None:
        path = self.folder / command
        path.write_text(f'#!/bin/sh\necho "$@" >> {path}.asked\n{script}\n')
        path.chmod(0o755)

    def asked(self, command: str) -> list[str]:
        path = self.folder / f"{command}.asked"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    return FakeSlurm(folder)


@pytest.fixture
def blocks(slurm: FakeSlurm, tmp_path: Path) -> SlurmBlocks:
    found = SlurmBlocks(partition="main", cmd_timeout=1)
    found.script_dir = str(tmp_path)
    assert slurm.asked("sacct") == []
    return found


def state(blocks: SlurmBlocks, job: str) -> JobState:
    (status,) = blocks.status([job])  # type: ignore[no-untyped-call]
    found: JobState = status.state
    return found


@pytest.mark.parametrize(
    "answer",
    ["exit 0", "echo nonsense", r"printf '\377\376|7|x|y|z|w\n'", "exit 1", "sleep 600", "echo oops >&2; exit 1"],
)
def test_no_answer_of_squeue_is_no_end_of_a_block(answer: str, slurm: FakeSlurm, blocks: SlurmBlocks) -> None:
    job = blocks.submit("true", 1)
    slurm.does("squeue", answer)
    assert state(blocks, job) is JobState.PENDING
    assert blocks.silence
    slurm.does("squeue", f"echo '{HEADING}'; echo '{job}|RUNNING|None|n1|N/A|N/A'")
    assert (state(blocks, job), blocks.silence) == (JobState.RUNNING, "")


@pytest.mark.parametrize(
    "answer", [f"echo '{HEADING}'", "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1"]
)
def test_a_block_that_slurm_does_not_know_any_more_has_ended(
    answer: str, slurm: FakeSlurm, blocks: SlurmBlocks
) -> None:
    job = blocks.submit("true", 1)
    slurm.does("squeue", answer)
    assert state(blocks, job) is JobState.COMPLETED


def test_what_slurm_refuses_is_told_in_its_words(slurm: FakeSlurm, blocks: SlurmBlocks) -> None:
    slurm.does("sbatch", "echo 'sbatch: error: invalid partition specified: main' >&2; exit 1")
    with pytest.raises(RuntimeError, match=r"^Slurm: sbatch: error: invalid partition specified: main$"):
        blocks.submit("true", 1)


@pytest.mark.parametrize("answer", [UNREACHED, "sleep 600", "echo nonsense"])
def test_a_block_that_sbatch_has_asked_for_without_saying_so_is_found(
    answer: str, slurm: FakeSlurm, blocks: SlurmBlocks
) -> None:
    slurm.does("sbatch", answer)
    slurm.does("squeue", f"echo '{HEADING}'; echo '9|RUNNING|None|n1|N/A|N/A'")
    assert blocks.submit("true", 1) == "9"
    name = slurm.asked("squeue")[-1].partition("--name=")[2]
    assert f"--job-name={name}\n" in Path(slurm.asked("sbatch")[0]).read_text()
    assert state(blocks, "9") is JobState.RUNNING


def test_a_block_that_may_be_asked_for_is_cancelled_by_its_name_before_the_next(
    slurm: FakeSlurm, blocks: SlurmBlocks
) -> None:
    slurm.does("sbatch", UNREACHED)
    with pytest.raises(SilentError, match="Socket timed out"):
        blocks.submit("true", 1)
    name = slurm.asked("squeue")[-1].partition("--name=")[2]
    slurm.does("sbatch", "echo Submitted batch job 7")
    slurm.does("scancel", UNREACHED)
    with pytest.raises(SilentError, match="Socket timed out"):
        blocks.submit("true", 1)
    assert len(slurm.asked("sbatch")) == 1
    slurm.does("scancel", "exit 0")
    assert blocks.submit("true", 1) == "7"
    assert slurm.asked("scancel") == [f"--name={name}"] * 2
    blocks.clean_up()
    assert len(slurm.asked("scancel")) == 2  # nothing is uncertain any more


ODD = "echo 'sbatch: error: in words that nobody has written down' >&2; exit 1"


def test_whatever_sbatch_says_slurm_is_out_of_reach_when_squeue_does_not_answer_either(
    slurm: FakeSlurm, blocks: SlurmBlocks
) -> None:
    slurm.does("sbatch", ODD)
    slurm.does("squeue", ODD)
    with pytest.raises(SilentError, match="in words that nobody"):
        blocks.submit("true", 1)
    slurm.does("squeue", f"echo '{HEADING}'; echo '9|RUNNING|None|n1|N/A|N/A'")
    slurm.does("scancel", ODD)
    with pytest.raises(SilentError, match="in words that nobody"):
        blocks.submit("true", 1)  # it is there
    slurm.does("squeue", f"echo '{HEADING}'; echo '9|CANCELLED|None|n1|N/A|N/A'")
    slurm.does("sbatch", "echo Submitted batch job 7")
    assert blocks.submit("true", 1) == "7"


def test_at_the_end_a_block_that_may_be_asked_for_is_cancelled(slurm: FakeSlurm, blocks: SlurmBlocks) -> None:
    slurm.does("sbatch", UNREACHED)
    with pytest.raises(SilentError):
        blocks.submit("true", 1)
    slurm.does("scancel", UNREACHED)
    with pytest.raises(SilentError, match="Socket timed out"):
        blocks.clean_up()
    slurm.does("scancel", "exit 0")
    blocks.clean_up()
    assert all(call.startswith("--name=parsl.slurm.") for call in slurm.asked("scancel"))


def test_a_block_that_its_node_could_not_start_comes_with_the_folder_that_nodes_must_see(
    slurm: FakeSlurm, blocks: SlurmBlocks, tmp_path: Path
) -> None:
    job = blocks.submit("true", 1)
    slurm.does("squeue", f"echo '{HEADING}'; echo '{job}|FAILED|JobLaunchFailure|n1|N/A|N/A'")
    (status,) = blocks.status([job])  # type: ignore[no-untyped-call]
    assert status.message.startswith("Slurm: job 7 FAILED (JobLaunchFailure) on n1; most often the node does not see ")
    assert f" {tmp_path}, or cannot write there" in status.message
