"""A group is solved once for each interpreter; what cannot be solved is explained with its lines."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes import FakeUv, refused, solved
from fakes import written_group as group

from envsolver.core.environments import Group, Interpreter, Package
from envsolver.core.errors import BuildError, UnsolvableError
from envsolver.core.files import read_json, write_json
from envsolver.core.notebooks import Origin, Requirement
from envsolver.resolver.groups import derive_group
from envsolver.resolver.locks import OUT_OF_REACH, places, read_packages, solve, solve_group
from envsolver.resolver.solve_options import SolveOptions

PYTHON = Interpreter(request="3.11", executable="/bin/python3.11", version="3.11.7", platform="cpython-linux-x86_64")
LOCK = "numpy==1.26.4 \\\n    --hash=sha256:00\nipykernel==7.0.0 \\\n    --hash=sha256:11\n"


def test_a_lock_pins_what_uv_answered_and_the_kernel_was_asked_for(tmp_path: Path) -> None:
    uv = FakeUv(tmp_path, solved(LOCK))
    lock = solve_group(group(tmp_path, "numpy<2\n"), PYTHON, uv=uv, cache=None)
    assert lock.packages == (Package(name="ipykernel", version="7.0.0"), Package(name="numpy", version="1.26.4"))
    assert [(asked.sources, asked.text) for asked in uv.asked] == [(("requirements/a.in",), "ipykernel\n")]


def test_a_second_solve_asks_nothing(tmp_path: Path) -> None:
    uv = FakeUv(tmp_path, solved(LOCK))
    first = solve_group(group(tmp_path, "numpy<2\n"), PYTHON, uv=uv, cache=tmp_path / "cache")
    assert solve_group(group(tmp_path, "numpy<2\n"), PYTHON, uv=uv, cache=tmp_path / "cache") == first
    assert len(uv.asked) == 1


def test_upgrade_asks_again(tmp_path: Path) -> None:
    uv = FakeUv(tmp_path, solved(LOCK))
    for upgrade in (False, True):
        solve_group(group(tmp_path, "numpy<2\n"), PYTHON, uv=uv, cache=tmp_path / "cache", upgrade=upgrade)
    assert "--upgrade" in uv.asked[1].options


@pytest.mark.parametrize(
    "terms",
    [
        SolveOptions(more=("numpy==2.5rc1",)),
        SolveOptions(prerelease=True),
        SolveOptions(indexes=("https://x.org/simple",)),
        SolveOptions(preferred=("six==1.16",)),
    ],
)
def test_other_versions_that_are_tried_ask_again(tmp_path: Path, terms: SolveOptions) -> None:
    uv = FakeUv(tmp_path, solved(LOCK))
    for each in (SolveOptions(), terms, terms):
        solve_group(group(tmp_path, "numpy<3\n"), PYTHON, uv=uv, cache=tmp_path / "cache", terms=each)
    assert len(uv.asked) == 2


@pytest.mark.parametrize("file", [True, False])
def test_what_the_command_line_adds_is_asked_of_every_group_and_its_index_installed_from(
    tmp_path: Path, *, file: bool
) -> None:
    uv = FakeUv(tmp_path, solved(LOCK))
    asked = group(tmp_path, "scipy\n")
    asked = asked if file else derive_group("a", asked.requirements, root=tmp_path)
    terms = SolveOptions(more=("numpy==2.5rc1",), prerelease=True, indexes=("https://x.org/simple",))
    lock = solve_group(asked, PYTHON, uv=uv, cache=None, terms=terms)
    (question,) = uv.asked
    lines = (question.text or "").splitlines()
    assert lines == [
        "--extra-index-url https://x.org/simple",
        *([] if file else ["scipy"]),
        "numpy==2.5rc1",
        "ipykernel",
    ]
    assert question.options.count("--prerelease") == 1
    assert lock.text.startswith("--extra-index-url https://x.org/simple\n")


def test_where_it_meets_a_group_s_own_lines_both_are_named(tmp_path: Path) -> None:
    uv = FakeUv(tmp_path, refused("No solution found: because you require numpy<2 and numpy==2.5rc1"))
    asked = group(tmp_path, "numpy<2\n")
    with pytest.raises(UnsolvableError, match=r"requirements/a\.in:1: numpy<2\n  --with: numpy==2\.5rc1"):
        solve_group(asked, PYTHON, uv=uv, cache=None, terms=SolveOptions(more=("numpy==2.5rc1",)))


@pytest.mark.parametrize("change", ["text", "python", "setting", "exclude_newer", "resolution"])
def test_whatever_a_solve_depends_on_asks_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    uv = FakeUv(tmp_path, solved(LOCK))
    cache = tmp_path / "cache"
    solve_group(group(tmp_path, "numpy<2\n"), PYTHON, uv=uv, cache=cache)
    if change == "setting":
        monkeypatch.setenv("UV_INDEX_STRATEGY", "unsafe-best-match")
    python = Interpreter(request="3", executable="/bin/python", version="3.12.0", platform=PYTHON.platform)
    solve_group(
        group(tmp_path, "numpy<3\n" if change == "text" else "numpy<2\n"),
        python if change == "python" else PYTHON,
        uv=uv,
        cache=cache,
        terms=SolveOptions(
            exclude_newer="2024-01-01" if change == "exclude_newer" else None,
            resolution="lowest-direct" if change == "resolution" else None,
        ),
    )
    assert len(uv.asked) == 2


def test_a_derived_group_is_solved_from_its_requirements(tmp_path: Path) -> None:
    derived = Group(
        name="d", file="", requirements=(Requirement(text="numpy<2", origin=Origin(path="a.ipynb", cell=1, line=2)),)
    )
    uv = FakeUv(tmp_path, solved(LOCK))
    solve_group(derived, PYTHON, uv=uv, cache=None)
    assert [(asked.sources, asked.text) for asked in uv.asked] == [((), "numpy<2\nipykernel\n")]


@pytest.mark.parametrize("given", ["argument", "variable"])
def test_a_strategy_for_old_versions_does_not_bring_an_ancient_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    if given == "variable":
        monkeypatch.setenv("UV_RESOLUTION", "lowest")
    uv = FakeUv(tmp_path, solved(LOCK))
    resolution = "lowest-direct" if given == "argument" else None
    solve_group(group(tmp_path, "numpy\n"), PYTHON, uv=uv, cache=None, terms=SolveOptions(resolution=resolution))
    assert (uv.asked[0].text or "").startswith("ipykernel>=")


def test_no_solution_gives_uvs_words_and_the_lines_that_meet(tmp_path: Path) -> None:
    uv = FakeUv(
        tmp_path, refused("error: No solution found when resolving\n  cause: Because SciPy==1.12.0 depends on numpy<2,")
    )
    with pytest.raises(UnsolvableError) as caught:
        solve_group(group(tmp_path, "pandas\nscipy==1.12\nnumpy>=2\n"), PYTHON, uv=uv, cache=None)
    assert caught.value.message.splitlines() == [
        "group a cannot be solved for Python 3.11.7.",
        "These lines meet in it:",
        "  requirements/a.in:2: scipy==1.12",
        "  requirements/a.in:3: numpy>=2",
        "uv says:",
        "Because SciPy==1.12.0 depends on numpy<2,",
    ]
    assert caught.value.exit_code == 4


@pytest.mark.parametrize(
    ("err", "message"),
    [
        ("error: Failed to fetch: x\n cause: dns error", "the network is out of reach"),
        ("error: Failed to build `x==1`", "group a could not be solved for Python 3.11.7:\nFailed to build `x==1`"),
    ],
)
def test_other_failures_are_no_proof_that_there_is_no_solution(tmp_path: Path, err: str, message: str) -> None:
    with pytest.raises(BuildError) as caught:
        solve_group(group(tmp_path, "x\n"), PYTHON, uv=FakeUv(tmp_path, refused(err)), cache=tmp_path / "cache")
    assert caught.value.message.startswith(message)


def test_a_failure_is_not_remembered(tmp_path: Path) -> None:
    uv = FakeUv(tmp_path, refused("error: Failed to fetch: x"))
    for _ in range(2):
        with pytest.raises(BuildError):
            solve_group(group(tmp_path, "x\n"), PYTHON, uv=uv, cache=tmp_path / "cache")
    assert len(uv.asked) == 2


def test_without_a_network_an_old_refusal_still_counts(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    given = group(tmp_path, "x\n")
    unsolvable = refused("No solution found when resolving\nBecause x")
    solve(given, PYTHON, uv=FakeUv(tmp_path, unsolvable), cache=cache, terms=SolveOptions())
    (memory,) = (cache / "solves").iterdir()
    write_json(memory, {**read_json(memory), "time": 0.0})
    offline = FakeUv(tmp_path, refused("error: Failed to fetch: x"))
    outcome = solve(given, PYTHON, uv=offline, cache=cache, terms=SolveOptions(), recall_refusals=True)
    assert (outcome.text, outcome.proved, len(offline.asked)) == (None, True, 1)
    with pytest.raises(BuildError):
        solve(group(tmp_path, "y\n"), PYTHON, uv=offline, cache=cache, terms=SolveOptions(), recall_refusals=True)


@pytest.mark.parametrize(
    ("err", "asked"),
    [("No solution found when resolving\nBecause x", 1), ("error: Failed to build `x==1`", 2)],
    ids=["no solution", "a build that failed"],
)
def test_what_may_be_mended_on_the_machine_is_asked_again_by_the_next_run(tmp_path: Path, err: str, asked: int) -> None:
    uv = FakeUv(tmp_path, refused(err))
    given = group(tmp_path, "x\n")
    for _ in range(2):
        solve(given, PYTHON, uv=uv, cache=tmp_path / "cache", terms=SolveOptions(), recall_refusals=True)
    assert len(uv.asked) == asked


def test_a_damaged_memory_is_asked_again(tmp_path: Path) -> None:
    uv = FakeUv(tmp_path, solved(LOCK))
    cache = tmp_path / "cache"
    solve_group(group(tmp_path, "numpy\n"), PYTHON, uv=uv, cache=cache)
    for file in (cache / "solves").iterdir():
        file.write_text('{"text": 3', encoding="utf-8")
    assert solve_group(group(tmp_path, "numpy\n"), PYTHON, uv=uv, cache=cache).packages
    assert len(uv.asked) == 2


@pytest.mark.parametrize(
    ("text", "packages"),
    [
        ("numpy==1.26.4 ; python_version < '3.12' \\\n    --hash=sha256:0\n", {"numpy": "1.26.4"}),
        ("jax[cpu]==0.4\n    # via -r a.in\n", {"jax": "0.4"}),
        ("a @ git+https://host/a@0123\n", {"a": "git+https://host/a@0123"}),
        ("--find-links x\n# words\n", {}),
    ],
)
def test_the_packages_of_a_lock_are_read_from_its_text(text: str, packages: dict[str, str]) -> None:
    assert {package.name: package.version for package in read_packages(text)} == packages


def test_a_local_project_is_locked_by_its_place_and_content(tmp_path: Path) -> None:
    project = tmp_path / "my project"
    (project / "sub").mkdir(parents=True)
    (project / "sub" / "pyproject.toml").write_text('[project]\nname = "Mine"\nversion = "1"\n', encoding="utf-8")
    uv = FakeUv(project, solved("-e ./sub\nsix==1.17.0\n"))
    lock = solve_group(group(project, "-e ./sub\n"), PYTHON, uv=uv, cache=None)
    assert lock.packages[0] == Package(name="mine", version=str(project / "sub"))
    assert lock.text.splitlines()[0] == f"-e {(project / 'sub').as_uri()}"
    (project / "sub" / "pyproject.toml").write_text('[project]\nname = "Mine"\nversion = "2"\n', encoding="utf-8")
    assert solve_group(group(project, "-e ./sub\n"), PYTHON, uv=uv, cache=None).text != lock.text


def test_a_project_in_a_folder_with_a_number_sign_is_locked_with_its_name(tmp_path: Path) -> None:
    project = tmp_path / "a#b"
    project.mkdir()
    (project / "pyproject.toml").write_text('[project]\nname = "mine"\nversion = "1"\n', encoding="utf-8")
    lock = solve_group(group(project, "-e .\n"), PYTHON, uv=FakeUv(project, solved("-e .\n")), cache=None)
    assert lock.text.splitlines()[0] == f"-e mine @ {project.as_uri()}"
    assert lock.packages == (Package(name="mine", version=str(project)),)


def test_uvs_hashes_of_a_local_archive_give_way_to_its_content(tmp_path: Path) -> None:
    (tmp_path / "a-1-py3-none-any.whl").touch()
    answer = "./a-1-py3-none-any.whl \\\n    --hash=sha256:00\nsix==1 \\\n    --hash=sha256:11\n"
    lock = solve_group(
        group(tmp_path, "./a-1-py3-none-any.whl\n"), PYTHON, uv=FakeUv(tmp_path, solved(answer)), cache=None
    )
    assert lock.text.splitlines()[0] == f"{tmp_path.as_uri()}/a-1-py3-none-any.whl"
    assert lock.text.splitlines()[1].startswith("    # ")
    assert lock.text.endswith("six==1 \\\n    --hash=sha256:11\n")


def derived(root: Path, *items: str) -> Group:
    return derive_group("d", [Requirement(text=text, origin=Origin(path="a.ipynb")) for text in items], root=root)


def test_a_lock_says_where_its_packages_come_from(tmp_path: Path) -> None:
    (tmp_path / "requirements" / "wheels").mkdir(parents=True)
    options = "--extra-index-url https://x.org/simple\n-f wheels\n--find-links=https://y.org\n--no-binary six\n--pre\n"
    uv = FakeUv(tmp_path, solved("six==1\n"))
    lock = solve_group(group(tmp_path, f"{options}six\n"), PYTHON, uv=uv, cache=None)
    assert lock.text.splitlines() == [
        "--extra-index-url https://x.org/simple",
        f"--find-links {tmp_path.as_uri()}/requirements/wheels",
        "--find-links https://y.org",
        "--no-binary six",
        "six==1",
    ]
    assert uv.asked[0].option("--prerelease") == "allow"


def test_bounds_and_options_of_notebooks_reach_uv(tmp_path: Path) -> None:
    uv = FakeUv(tmp_path, lambda question: solved(Path(question.option("--constraints")).read_text()))
    asked = derived(tmp_path, "six", "-c idna<3", "--pre", "--no-index")
    assert solve(asked, PYTHON, uv=uv, cache=None, terms=SolveOptions()).text == "idna<3\n"
    assert uv.asked[0].text == "--no-index\nsix\nipykernel\n"
    assert uv.asked[0].option("--prerelease") == "allow"


@pytest.mark.parametrize(
    ("item", "address"),
    [
        ("git+https://x.org/y.git@main", "https://x.org/y.git"),
        ("y @ https://x.org/y.zip", "https://x.org/y.zip"),
        ("--extra-index-url https://x.org/simple", "https://x.org/simple"),
    ],
)
def test_an_address_out_of_reach_is_told_and_asked_for_again(tmp_path: Path, item: str, address: str) -> None:
    uv = FakeUv(tmp_path, refused(f"error: Git operation failed\n'{address}/': Could not resolve host: x.org"))
    for _ in range(2):
        outcome = solve(derived(tmp_path, item), PYTHON, uv=uv, cache=tmp_path / "cache", terms=SolveOptions())
        assert (outcome.text, outcome.proved) == (None, False)
        assert outcome.explanation.startswith(f"{address} is {OUT_OF_REACH}")
    assert len(uv.asked) == 2


def test_without_a_network_nobodys_address_is_to_blame(tmp_path: Path) -> None:
    uv = FakeUv(tmp_path, refused("error: Failed to fetch: https://pypi.org/simple/six"))
    with pytest.raises(BuildError, match="out of reach"):
        solve(derived(tmp_path, "y @ https://x.org/y.zip"), PYTHON, uv=uv, cache=None, terms=SolveOptions())


def test_places_are_found_by_normalised_names(tmp_path: Path) -> None:
    asked = [Requirement(text=text, origin=Origin(path="a.in", line=1)) for text in ("Foo_Bar>1", "foo", "baz")]
    assert [r.text for r in places("Because foo-bar==2 needs bazaar.", asked, tmp_path)] == ["Foo_Bar>1"]
