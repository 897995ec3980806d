"""Promise: what counts a kernel's warnings shows to nobody, and reads filters as pytest does."""

from __future__ import annotations

import subprocess
import sys
import warnings
from typing import Any

import pytest

from envsolver.config.warning_filters import warning_filter_fault
from envsolver.environments.in_environment import WARNED

START = (
    "space = {'__name__': 'warned', '__file__': %r}\n"
    "exec(compile(open(%r).read(), %r, 'exec'), space)\n"
    "recorder = space['WarningRecorder']()\nrecorder.install()\nrecorder.start('')\ndel space\n"
) % ((str(WARNED),) * 3)

LOOKS = (
    "import copy, pickle, warnings\n"
    "print(warnings.filters)\n"
    "for action, message, category, module, line in warnings.filters: print(action, message, category, module, line)\n"
    "hidden = ('ignore', None, DeprecationWarning, None, 0)\n"
    "print(hidden in warnings.filters, warnings.filters.index(hidden), [f[0] for f in warnings.filters])\n"
    "print(pickle.loads(pickle.dumps(warnings.filters[-4:])), copy.deepcopy(warnings.filters[-4:]))\n"
    "warnings.simplefilter('ignore', DeprecationWarning)\n"
    "print(len(warnings.filters), warnings._showwarnmsg.__name__, warnings._showwarnmsg.__module__)\n"
)


def run(source: str, *options: str) -> str:
    done = subprocess.run(
        [sys.executable, *options, "-c", source], check=True, capture_output=True, text=True, timeout=60
    )
    return done.stdout + done.stderr.replace("<string>:", "")


def test_the_filters_look_as_they_did() -> None:
    shown = run(START + LOOKS)
    assert shown == run(LOOKS)
    assert "ignore" in shown


def test_what_is_hidden_is_shown_to_nobody() -> None:
    source = (
        "import threading, warnings\n"
        "def warn(): warnings.warn_explicit('old', DeprecationWarning, 'm.py', 3, module='m')\n"
        "threads = [threading.Thread(target=warn) for _ in range(8)]\n"
        "for thread in threads: thread.start()\n"
        "for thread in threads: thread.join()\n"
        "print(recorder._counts[DeprecationWarning, 'm.py', 3][0], recorder._coming)\n"
    )
    assert run(START + source) == "8 set()\n"


def test_no_more_places_are_told_than_a_report_can_hold() -> None:
    source = (
        "import warnings\n"
        "for line in range(250): warnings.warn_explicit('old', DeprecationWarning, 'm.py', line, module='m')\n"
        "print(len(recorder._counts), recorder._beyond)\n"
    )
    assert run(START + source) == "200 50\n"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a device that is always full is Linux's")
def test_a_full_disk_keeps_no_warning_from_the_notebook() -> None:
    source = "import warnings\nrecorder.start('/dev/full')\nwarnings.warn('shown')\nprint('done')\n"
    said = run(START + source)
    assert "UserWarning: shown" in said
    assert "done" in said


@pytest.fixture
def parse() -> Any:
    space: dict[str, Any] = {"__name__": "warned", "__file__": str(WARNED)}
    exec(compile(WARNED.read_text(encoding="utf-8"), str(WARNED), "exec"), space)  # noqa: S102  # our own program
    return space["parse_filter"]


@pytest.mark.parametrize(
    "text",
    [
        "error",
        "e",
        "",
        "ignore::DeprecationWarning",
        "error::DeprecationWarning:mypackage",
        "error:.*gone.*:FutureWarning:my.*:12",
        " once : text : UserWarning ",
        "default:::numpy",
    ],
)
def test_a_filter_says_what_it_says_to_pytest(text: str, parse: Any) -> None:
    from _pytest.config import parse_warning_filter

    assert warning_filter_fault(text) == ""
    with warnings.catch_warnings():
        warnings.filterwarnings(*parse_warning_filter(text or "default", escape=False))
        expected: Any = warnings.filters[0]
    found = parse(text, print)
    assert found[0] == expected[0]
    assert found[2] == expected[2]
    assert found[4] == expected[4]
    for ours, theirs in ((found[1], expected[1]), (found[3], expected[3])):
        assert (ours and (ours.pattern, ours.flags)) == (theirs and (theirs.pattern, theirs.flags))


def test_a_category_is_known_by_its_module_without_an_import(parse: Any) -> None:
    faults: list[Any] = []
    kind = parse("error::not_there.GoneWarning", faults.append)[2]
    assert not issubclass(UserWarning, kind)
    assert "not_there" not in sys.modules
    assert faults == []
    assert issubclass(pytest.PytestDeprecationWarning, parse("error::pytest.PytestDeprecationWarning", print)[2])
    assert not issubclass(UserWarning, parse("error::pytest.NoSuchWarning", faults.append)[2])
    assert faults == [{"fault": "names pytest.NoSuchWarning, which is no category of warnings"}]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("eror::UserWarning", "must begin with one of default, always, ignore, module, once, error"),
        ("error::DeprecatedWarning", 'names "DeprecatedWarning", which is no category of Python\'s own'),
        ("error:(:UserWarning", "has a message that is not a regular expression"),
        ("error:::[", "has a module that is not a regular expression"),
        ("error::::x", 'has the line "x", which is not a number'),
        ("error:::::", "has more than the five parts"),
    ],
)
def test_a_faulty_filter_is_told(text: str, fault: str) -> None:
    assert warning_filter_fault(text).startswith(fault)
