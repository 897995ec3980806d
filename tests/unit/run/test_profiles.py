"""Promise: a profile is right, or all that is wrong with it is told before anything is queued, with its place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from fakes import job

from envsolver.cli.main import cli
from envsolver.config.load import load_config
from envsolver.config.profiles import ProfileTable, read_profiles, user_file
from envsolver.core.errors import ConfigurationError
from envsolver.core.jobs import Cost
from envsolver.core.profiles import Placement
from envsolver.run.options import Options, available_cores, worker_count
from envsolver.run.profiles import (
    check_profile,
    choose_placement,
    choose_profile,
    environments_folder,
    fitting_no_block,
    make_profile,
)

DOCUMENT = Path(__file__).parents[3] / "docs" / "clusters.md"

SLURM = 'provider = "slurm"\nworkers-per-node = 2\n'
PODS = 'provider = "kubernetes"\nimage = "i"\n'


@pytest.fixture(autouse=True)
def _own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the profiles of the person who runs the tests out of them."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("envsolver.config.profiles.user_config_dir", lambda name: str(tmp_path / "home" / name))


def own(tmp_path: Path, text: str) -> Path:
    """Write a project whose own file holds a profile called p."""
    root = tmp_path / "project"
    root.mkdir(exist_ok=True)
    (root / "envsolver.toml").write_text(f"[profiles.p]\n{text}", encoding="utf-8")
    return root


def mine(text: str) -> None:
    """Write the user's file."""
    user_file().parent.mkdir(parents=True, exist_ok=True)
    user_file().write_text(text, encoding="utf-8")


def faults(root: Path) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as raised:
        choose_profile(root, "p")
    return tuple(raised.value.faults)


def examples() -> dict[str, str]:
    """Return the document's examples by their first profile."""
    blocks: list[str] = re.findall(r"```toml\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    return {found[1]: block for block in blocks if (found := re.search(r"^\[profiles\.(\w+)\]", block, re.MULTILINE))}


@pytest.mark.parametrize("name", examples())
def test_every_documented_profile_is_right(name: str, tmp_path: Path) -> None:
    mine(examples()[name])
    tables = read_profiles(tmp_path)
    assert name in tables
    for table in tables.values():
        assert make_profile(table).slots >= 1


def test_every_own_key_is_documented() -> None:
    from dataclasses import fields

    from envsolver.core.profiles import ProfileSettings

    text = DOCUMENT.read_text(encoding="utf-8")
    assert [each.name for each in fields(ProfileSettings) if f"| `{each.name.replace('_', '-')}` |" not in text] == []


def test_all_faults_of_a_profile_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    root = own(tmp_path, SLURM + 'partition = 3\nexclusiv = true\npoll = 0\ninit-blocks = 2\nlauncher = "srum"\n')
    told = faults(root)
    assert [text.partition(": profiles.p.")[0] for text in told] == [f"envsolver.toml:{n}" for n in range(4, 9)]
    for said, text in zip(("must be text", "did you mean exclusive?", "greater than 0", "max-blocks", "srun"), told):  # noqa: B905  both have five
        assert said in text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("poll = 1\n", "profiles.p: has no provider"),
        ('provider = "slurn"\n', '"slurn" is no provider'),
        ('provider = "slurm"\n', "needs workers-per-node or cores-per-node"),
        ("provider = 3\n", "must be text, in quotes, not the number 3"),
        (SLURM + "cores-per-node = true\n", "must be a whole number, not true"),
        (SLURM + "walltime = 01:00:00\n", "must be text, in quotes, not a date or time"),
        (SLURM + 'walltime = "90"\n', "must be hours, minutes and seconds"),
        (SLURM + "ports = [54000]\n", "the first and the last port"),
        (SLURM + "ports = [2, 1]\n", "the first and the last port"),
        (SLURM + "ports = [1, 70000]\n", "the first and the last port"),
        (SLURM + 'address = "a"\ninterface = "b"\n', "only one of the two"),
        ('provider = "site.py:nodes"\n', "site.py does not exist"),
        ('provider = "kubernetes"\n', "profiles.p: needs image"),
        (PODS + "nodes-per-block = 2\n", "is no key of a profile"),
        (PODS + 'walltime = "1h"\n', "must be hours, minutes and seconds"),
        (PODS + "max-cpu = '2'\n", "must be a number"),
    ],
)
def test_a_wrong_profile_is_refused_with_its_line(text: str, said: str, tmp_path: Path) -> None:
    (told,) = faults(own(tmp_path, text))
    assert said in told
    assert re.match(r"envsolver\.toml:\d+: profiles\.p", told)


def test_kubernetes_takes_volumes_by_claim_and_path_and_what_envsolver_adds(tmp_path: Path) -> None:
    text = PODS + 'persistent-volumes = [["data", "/work"]]\nextra-limits = { a = "1" }\nmax-cpu = 2\n'
    profile = make_profile(table(tmp_path, text + 'pod-template = "pod.yaml"\nwalltime = "00:10:00"\n'))
    assert (profile.walltime, profile.options["persistent_volumes"]) == (600, (("data", "/work"),))


def test_a_template_of_pods_that_is_none_is_refused_with_its_line(tmp_path: Path) -> None:
    (told,) = faults(own(tmp_path, PODS + 'pod-template = "pod.yaml"\n'))
    assert told.startswith("envsolver.toml:4: profiles.p.pod-template: pod.yaml cannot be read")


@pytest.mark.parametrize("provider", ["kubernetes", "aws"])
def test_a_library_that_is_missing_is_named_with_what_brings_it(
    provider: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("envsolver.run.parsl.providers.find_spec", lambda _: None)
    needed = {"kubernetes": PODS, "aws": 'provider = "aws"\nimage-id = "i"\nkey-name = "k"\n'}
    root = own(tmp_path, needed[provider])
    (told,) = faults(root)
    assert f"install envsolver[{provider}]" in told
    profile = make_profile(read_profiles(root)["p"])
    assert f"install envsolver[{provider}]" in dict(check_profile(profile, tmp_path))["what it needs here"]


def test_a_sites_own_function_is_checked_by_its_signature(tmp_path: Path) -> None:
    root = own(tmp_path, 'provider = "site.py:nodes"\nqueue = 3\n')
    (root / "site.py").write_text("def nodes(queue: str = '', speed: int = 1): ...\n")
    assert faults(root) == ("envsolver.toml:3: profiles.p.queue: must be text, in quotes, not the number 3",)


@pytest.mark.parametrize(("source", "said"), [("1 / 0", "ZeroDivisionError"), ("other = 1", "has no function nodes")])
def test_a_sites_file_that_is_of_no_use_is_told(source: str, said: str, tmp_path: Path) -> None:
    root = own(tmp_path, 'provider = "site.py:nodes"\n')
    (root / "site.py").write_text(source)
    assert said in faults(root)[0]


def test_the_users_profile_counts_over_the_projects(tmp_path: Path) -> None:
    root = own(tmp_path, SLURM)
    mine(f"[profiles.p]\n{SLURM}max-blocks = 7\n")
    profile = choose_profile(root, "p")
    assert profile is not None
    assert (profile.settings.max_blocks, profile.file) == (7, str(user_file()))


def test_the_projects_profiles_may_stand_in_its_pyproject(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(f"[tool.envsolver.profiles.p]\n{SLURM}colour = 1\n")
    assert faults(tmp_path)[0].startswith("pyproject.toml:4: tool.envsolver.profiles.p.colour: is no key")


def test_no_profile_and_local_are_this_machine(tmp_path: Path) -> None:
    assert choose_profile(tmp_path, None) is None
    assert choose_profile(tmp_path, "local") is None


def test_a_profile_that_nobody_wrote_is_refused_with_the_nearest(tmp_path: Path) -> None:
    mine(f"[profiles.cluster]\n{SLURM}")
    with pytest.raises(ConfigurationError, match="did you mean cluster"):
        choose_profile(tmp_path, "clutser")


@pytest.mark.parametrize("text", ["profiles = 3", "[profiles]\np = 3", "[profile.p]\nx = 1", "[profiles.p"])
def test_a_users_file_of_another_form_is_refused(text: str, tmp_path: Path) -> None:
    mine(text)
    with pytest.raises(ConfigurationError, match=r"profiles\.toml"):
        read_profiles(tmp_path)


def table(tmp_path: Path, text: str) -> ProfileTable:
    return read_profiles(own(tmp_path, text))["p"]


def test_check_names_what_is_missing_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "file").touch()
    profile = make_profile(table(tmp_path, SLURM + 'interface = "nosuch0"\npython = "/no/python"\n'))
    found = dict(check_profile(profile, tmp_path / "file"))
    assert found["command sbatch"] == "is not found on PATH"
    assert "cannot be listened at" in found["address nosuch0"]
    assert "cannot be written" in found[f"folder {tmp_path / 'file'}"]
    assert "no program here" in found["python /no/python"]


def test_check_finds_nothing_where_all_is_there(tmp_path: Path) -> None:
    profile = make_profile(table(tmp_path, 'provider = "local"\naddress = "127.0.0.1"\n'))
    assert set(dict(check_profile(profile, tmp_path / "cache")).values()) == {""}


def test_a_notebook_that_took_longer_than_a_block_lasts_is_told_before_it_starts(tmp_path: Path) -> None:
    profile = make_profile(table(tmp_path, SLURM + 'walltime = "00:01:00"\n'))
    costs = {"a": Cost(seconds=61.0), "b": Cost(seconds=39.0), "c": Cost()}
    jobs = [*(job(name, profile="p") for name in "abcd"), job("e", profile="other")]
    (told,) = fitting_no_block(profile, jobs, {**costs, "e": Cost(seconds=61.0)})
    assert told.startswith("a.ipynb took 1 min 01 s")
    assert told.endswith('it needs walltime = "00:02:00"')


def test_project_is_lsfs_own_key_unless_it_says_how_the_project_is_had(tmp_path: Path) -> None:
    lsf = 'provider = "lsf"\nworkers-per-node = 2\n'
    billed, sent = (make_profile(table(tmp_path, f'{lsf}project = "{text}"\n')) for text in ("proj-1234", "send"))
    assert (billed.settings.project, billed.options["project"]) == ("shared", "proj-1234")
    assert (sent.settings.project, "project" in sent.options) == ("send", False)
    assert "must be one of 'shared' or 'send'" in faults(own(tmp_path, f'{SLURM}project = "proj"\n'))[0]


def test_a_provider_that_is_not_told_a_walltime_has_parsls_where_the_scheduler_holds_it(tmp_path: Path) -> None:
    assert make_profile(table(tmp_path, SLURM)).walltime == 600
    assert make_profile(table(tmp_path, 'provider = "condor"\nworkers-per-node = 2\n')).walltime is None


GROUPS = """\
[groups.torch]
dependency-groups = ["torch"]
profile = "gpu"
[groups.core]
dependency-groups = ["core"]
[groups.served]
dependency-groups = ["served"]
profile = "local"
"""


def placed(tmp_path: Path, name: str | None = None, groups: tuple[str, ...] = (), text: str = GROUPS) -> Placement:
    """Place the groups of a project, for a person who has the profiles gpu, with 4 places, and p, with 2."""
    mine(f"[profiles.gpu]\n{SLURM}max-blocks = 2\n[profiles.p]\n{SLURM}")
    (tmp_path / "envsolver.toml").write_text(text, encoding="utf-8")
    return choose_placement(load_config(tmp_path), name, groups)


def names(placement: Placement) -> list[str | None]:
    profiles = [placement.of(group) for group in ("torch", "core", "served")]
    return [None if profile is None else profile.name for profile in profiles]


@pytest.mark.parametrize(
    ("name", "expected"),
    [(None, ["gpu", None, None]), ("p", ["gpu", "p", None]), ("local", [None, None, None])],
)
def test_a_group_runs_under_its_own_profile_unless_all_are_to_stay(
    name: str | None, expected: list[str | None], tmp_path: Path
) -> None:
    assert names(placed(tmp_path, name)) == expected


def test_a_strategy_may_name_another_profile(tmp_path: Path) -> None:
    text = f'strategy = "smoke"\n{GROUPS}[strategies.smoke.groups.torch]\nprofile = "p"\n'
    assert names(placed(tmp_path, text=text)) == ["p", None, None]
    with pytest.raises(ConfigurationError) as raised:
        placed(tmp_path, text=text.replace('"p"', '"q"'))
    (told,) = raised.value.faults
    assert told.startswith("envsolver.toml:11: strategies.smoke.groups.torch.profile: no profile")


def test_a_groups_profile_that_nobody_wrote_is_refused_with_its_line_and_the_nearest(tmp_path: Path) -> None:
    text = GROUPS.replace('"gpu"', '"gpus"').replace('"local"', '"nowhere"')
    with pytest.raises(ConfigurationError) as raised:
        placed(tmp_path, text=text)
    assert list(raised.value.faults) == [
        'envsolver.toml:3: groups.torch.profile: no profile is called "gpus"; did you mean gpu?',
        'envsolver.toml:8: groups.served.profile: no profile is called "nowhere"',
    ]
    assert names(placed(tmp_path, groups=("core",), text=text))[1] is None


def test_a_groups_profile_that_is_wrong_is_refused_with_the_profiles_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"envsolver\.toml:9: profiles\.mine: has no provider"):
        placed(tmp_path, text=GROUPS.replace('"gpu"', '"mine"') + "[profiles.mine]\npoll = 1\n")


def test_only_the_places_of_what_runs_count(tmp_path: Path) -> None:
    placement = placed(tmp_path)
    assert (worker_count(Options(placement=placement)), placement.here) == (available_cores() + 4, True)
    torch = placement.only(["torch", "torch"])
    assert (worker_count(Options(placement=torch)), torch.here) == (4, False)
    core = placement.only(["core"])
    assert (worker_count(Options(placement=core)), core.clusters) == (available_cores(), ())
    assert placement.only([]) == placement


def test_the_profiles_of_a_run_have_one_folder_of_environments(tmp_path: Path) -> None:
    def folder(first: str, second: str) -> Path | None:
        mine(f"[profiles.gpu]\n{SLURM}{first}[profiles.p]\n{SLURM}{second}")
        (tmp_path / "envsolver.toml").write_text(GROUPS, encoding="utf-8")
        return environments_folder(choose_placement(load_config(tmp_path), "p"))

    assert folder("", "") is None
    assert folder("", 'environments = "/a"\n') == Path("/a")
    with pytest.raises(ConfigurationError, match="one folder: p has /b, gpu has /a"):
        folder('environments = "/a"\n', 'environments = "/b"\n')


def test_the_command_lists_profiles_and_tells_what_is_wrong(tmp_path: Path) -> None:
    root = own(tmp_path, SLURM + "colour = 1\n")
    mine('[profiles.q]\nprovider = "local"\n')
    done = CliRunner().invoke(cli, ["-C", str(root), "profiles"], standalone_mode=False)
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["profile", "local", "p", "q"]
    assert "envsolver.toml:4: profiles.p.colour" in done.stderr
    assert done.return_value == 2


def test_a_file_that_makes_a_provider_is_run_only_to_check_it(tmp_path: Path) -> None:
    root = own(tmp_path, 'provider = "site.py:nodes"\n')
    (root / "site.py").write_text("import pathlib\npathlib.Path(__file__).with_name('ran').touch()\nnodes = print\n")
    for options, ran in (((), False), (("--check",), True)):
        done = CliRunner().invoke(cli, ["-C", str(root), "profiles", *options], standalone_mode=False)
        assert "site.py:nodes" in done.stdout
        assert (root / "ran").exists() is ran
