"""Promises of environments that somebody else builds: used as they are, and never changed."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes import FakeUv, some_python

from envsolver.core.errors import BuildError, ConfigurationError
from envsolver.core.settings import Config, GroupSettings
from envsolver.environments.foreign import foreign_lock
from envsolver.environments.store import Store
from envsolver.resolver.groups import read_group


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    prefix = tmp_path / "envs/ml"
    for name, version in (("ipykernel", "7.1"), ("Torch_Thing", "2")):
        information = prefix / f"lib/python3.12/site-packages/{name}-{version}.dist-info"
        information.mkdir(parents=True)
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (prefix / "bin").mkdir()
    (prefix / "bin/python").touch()
    return prefix


def test_it_holds_what_is_installed_in_it_and_is_used_where_it_is(prefix: Path, tmp_path: Path) -> None:
    before = sorted(prefix.rglob("*"))
    store = Store(tmp_path / "cache", FakeUv(tmp_path))
    lock = foreign_lock("ml", prefix, some_python("3.12"))
    assert store.has(lock)
    assert not store.is_broken(lock)
    environment = store.ensure(lock)
    assert (environment.prefix, store.prefix_for(lock), environment.built) == (prefix, prefix, False)
    assert [f"{p.name} {p.version}" for p in environment.packages] == ["ipykernel 7.1", "torch-thing 2"]
    assert sorted(prefix.rglob("*")) == before


def test_its_key_changes_with_what_is_installed(prefix: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "cache", FakeUv(tmp_path))
    first = store.key_for(foreign_lock("ml", prefix, some_python("3.12")))
    (prefix / "conda-meta").mkdir()
    (prefix / "conda-meta/gdal-3.9.json").touch()
    assert store.key_for(foreign_lock("ml", prefix, some_python("3.12"))) != first


def test_one_without_a_kernel_is_an_error_that_says_what_to_add(prefix: Path) -> None:
    (prefix / "lib/python3.12/site-packages/ipykernel-7.1.dist-info/METADATA").write_text("Metadata-Version: 2.1\n")
    with pytest.raises(BuildError, match="has no ipykernel"):
        foreign_lock("ml", prefix, some_python("3.12"))


def test_a_group_runs_on_the_python_of_its_prefix(prefix: Path, tmp_path: Path) -> None:
    config = Config(root=tmp_path, groups={"ml": GroupSettings(prefix="envs/ml")})
    group = read_group(config, "ml")
    assert (group.prefix, group.requires_python, group.place) == (str(prefix), "==3.12.*", str(prefix))


def test_a_prefix_without_a_python_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="holds no Python"):
        read_group(Config(root=tmp_path, groups={"ml": GroupSettings(prefix="envs/ml")}), "ml")
