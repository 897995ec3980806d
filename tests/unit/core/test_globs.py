"""Promise: a glob means the same wherever notebooks are named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envsolver.core.globs import glob_base, glob_depth, glob_escape, glob_matches, is_glob, matches_any


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("a.ipynb", "*.ipynb"),
        ("a.ipynb", "**/*.ipynb"),
        ("demos/a.ipynb", "**/*.ipynb"),
        ("demos/x/y/a.ipynb", "**/*.ipynb"),
        ("demos/a.ipynb", "demos/**"),
        ("demos/x/y/a.ipynb", "demos/**"),
        ("demos/x/y/a.ipynb", "demos/"),
        ("demos/x/a.ipynb", "demos/**/a.ipynb"),
        ("demos/a.ipynb", "demos/**/a.ipynb"),
        ("demos/a.ipynb", "demos/**/**/a.ipynb"),
        ("demos/a.ipynb", "./demos/a.ipynb"),
        ("demos/a1.ipynb", "demos/a?.ipynb"),
        ("demos/a1.ipynb", "demos/a[0-9].ipynb"),
        ("demos/ab.ipynb", "demos/a[!0-9].ipynb"),
        ("demos/a].ipynb", "demos/a[]].ipynb"),
        ("demos/a-.ipynb", "demos/a[a-].ipynb"),
        ("demos/[old]/a.ipynb", "demos/[old]/a.ipynb"),
        ("demos/[x.ipynb", "demos/[x.ipynb"),
        ("a b/ü (1).ipynb", "a b/*.ipynb"),
        (".hidden.ipynb", "*.ipynb"),
        ("line\nbreak.ipynb", "*.ipynb"),
        ("cafe\u0301.ipynb", "caf\u00e9.ipynb"),
    ],
)
def test_a_path_matches(path: str, pattern: str) -> None:
    assert glob_matches(path, pattern)


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("demos/a.ipynb", "*.ipynb"),
        ("demos/x/a.ipynb", "demos/*"),
        ("demos/x/a.ipynb", "demos/?/b.ipynb"),
        ("demos", "demos/**"),
        ("old/demos/a.ipynb", "demos/**"),
        ("demosaic/a.ipynb", "demos/**"),
        ("a.ipynb.txt", "*.ipynb"),
        ("axipynb", "a.ipynb"),
        ("a/b", "a[/]b"),
        ("a/b", "a[ -~]b"),
        ("ab", "a[z-a]"),
        ("A.ipynb", "a.ipynb"),
    ],
)
def test_a_path_does_not_match(path: str, pattern: str) -> None:
    assert not glob_matches(path, pattern)


@pytest.mark.parametrize(
    ("pattern", "base", "depth"),
    [
        ("*.ipynb", "", 1),
        ("**/*.ipynb", "", None),
        ("demos/**/*.ipynb", "demos", None),
        ("demos/x/a.ipynb", "demos/x", 3),
        ("demos/x*/a.ipynb", "demos", 3),
        ("demos/", "demos", None),
    ],
)
def test_a_globs_base_and_depth_bound_the_walk(pattern: str, base: str, depth: int | None) -> None:
    assert (glob_base(pattern), glob_depth(pattern)) == (base, depth)


def test_matches_any_is_false_without_globs() -> None:
    assert not matches_any("a.ipynb", ())


NAMES = st.text(st.characters(exclude_characters="/", exclude_categories=["Cs"]), min_size=1, max_size=8).filter(
    lambda name: name not in {".", ".."}
)
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)


@given(path=PATHS, pattern=st.text("ab*?[]!-/.", max_size=12))
def test_no_pattern_is_refused(path: str, pattern: str) -> None:
    assert isinstance(glob_matches(path, pattern), bool)


@given(path=PATHS)
def test_a_path_matches_itself_and_its_escape_and_everything(path: str) -> None:
    assert glob_matches(path, path)
    assert glob_matches(path, glob_escape(path))
    assert glob_matches(path, "**")


@given(path=PATHS, other=PATHS)
def test_an_escaped_path_matches_nothing_else(path: str, other: str) -> None:
    assert glob_matches(other, glob_escape(path)) == glob_matches(other, path) or is_glob(path)


@given(first=NAMES, second=NAMES)
def test_a_star_stays_in_its_directory(first: str, second: str) -> None:
    assert not glob_matches(f"{first}/{second}", "*")
    assert glob_matches(f"{first}/{second}", "*/*")
