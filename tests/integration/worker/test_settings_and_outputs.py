"""Promise: a notebook's tags and settings count, and its outputs are kept as a valid notebook has them."""

from __future__ import annotations

import json
import time
from typing import Any

import nbformat
import pytest
from nbclient.output_widget import OutputWidget
from worker_bench import Bench, Cell

from envsolver.core.jobs import Edits

pytestmark = pytest.mark.integration


# Tags and edits


@pytest.mark.parametrize(
    ("cells", "options", "status", "executed"),
    [
        ([("1/0", ["skip-execution"]), "'b'"], {}, "passed", ["", "'b'"]),
        ([("1/0", ["raises-exception"]), "'b'"], {}, "passed", ["", "'b'"]),
        (["1/0", "'b'"], {"allow_errors": True}, "passed", ["", "'b'"]),
        (["n = 2", "n"], {"edits": Edits(replace={"n = 2": "n = 3"})}, "passed", ["", "3"]),
        (["plot()", "'b'"], {"edits": Edits(skip_cells=("plot(",))}, "passed", ["", "'b'"]),
        (["'a'", "# stop here", "1/0"], {"edits": Edits(stop_at="# stop")}, "passed", ["'a'", "", ""]),
        ([("n = 1", ["parameters"]), "n"], {"edits": Edits(parameters={"n": 5})}, "passed", ["", "", "5"]),
        (["n"], {"edits": Edits(parameters={"n": float("inf")})}, "passed", ["", "inf"]),
        (["1"], {"edits": Edits(replace={"absent": "x"})}, "failed", None),
        (["1"], {"edits": Edits(parameters={"not a name": 1})}, "failed", None),
    ],
)
def test_tags_and_settings(
    bench: Bench, cells: list[Cell], options: dict[str, Any], status: str, executed: list[str] | None
) -> None:
    result = bench.run(*cells, **options)
    assert result.status == status
    if executed is not None:
        assert [bench.text_of(result, i) for i in range(len(executed))] == executed


def test_a_setting_that_fits_nothing_is_named(bench: Bench) -> None:
    result = bench.run("1", edits=Edits(replace={"absent": "x"}))
    assert "replace" in result.reason
    assert "'absent'" in result.reason


def test_an_allowed_error_is_told(bench: Bench) -> None:
    assert bench.run("1/0", allow_errors=True).reason == "errors are allowed, and cell 1 raised ZeroDivisionError"


def test_the_failing_cells_number_is_that_of_the_file_even_after_injection(bench: Bench) -> None:
    result = bench.run(("n = 1", ["parameters"]), "1/0", edits=Edits(parameters={"n": 5}))
    assert result.failure is not None
    assert result.failure.cell == 2


# Output


def test_a_flood_of_output_is_cut_and_says_so(bench: Bench) -> None:
    result = bench.run("for i in range(50_000): print('x' * 100)", "print('after')", output=10_000)
    assert result.status == "passed"
    text = bench.text_of(result, 0)
    assert "output cut" in text
    assert 10_000 <= len(text) < 10_500
    assert bench.text_of(result, 1) == "after\n"


def test_a_flood_of_rich_output_is_cut(bench: Bench) -> None:
    source = "from IPython.display import display, HTML\nfor i in range(100): display(HTML('y' * 1000))"
    result = bench.run(source, output=20_000)
    cell = bench.executed(result)["cells"][0]
    assert len(json.dumps(cell)) < 40_000
    assert "output cut" in bench.text_of(result)


def test_what_is_cleared_or_updated_does_not_count(bench: Bench) -> None:
    cleared = (
        "from IPython.display import clear_output\nfor i in range(50):\n    clear_output()\n    print(i, 'z' * 1000)"
    )
    updated = "h = display('', display_id=True)\nfor i in range(50): h.update('u' * 1000)"
    result = bench.run(cleared, updated, output=10_000)
    assert "output cut" not in bench.text_of(result, 0) + bench.text_of(result, 1)
    assert bench.text_of(result, 0).startswith("49 ")
    assert "uuu" in bench.text_of(result, 1)


def test_stale_output_is_not_kept(bench: Bench) -> None:
    result = bench.run("1", ("2", ["skip-execution"]))
    assert "stale" not in json.dumps(bench.executed(result))


WIDGET = """
from comm import create_comm
state = {"_model_name": "OutputModel", "_model_module": "@jupyter-widgets/output", "outputs": [], "msg_id": ""}
widget = create_comm(target_name="jupyter.widget", data={"state": state, "buffer_paths": []})
message = get_ipython().kernel.get_parent()["header"]["msg_id"]
widget.send({"method": "update", "state": {"msg_id": message}, "buffer_paths": []})
print("into the widget", flush=True)
"""


def test_a_reply_that_comes_while_a_widgets_output_is_sent_is_read(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = OutputWidget.sync_state

    def late(*arguments: Any) -> None:
        time.sleep(1.0)  # so that the cell's reply is there, and not noticed yet
        send(*arguments)

    monkeypatch.setattr(OutputWidget, "sync_state", late)
    result = bench.run(WIDGET, "print('after')", cell_timeout=15.0)
    assert (result.status, result.reason) == ("passed", "")
    assert bench.text_of(result, 1) == "after\n"


def test_text_that_has_no_utf8_does_no_harm(bench: Bench) -> None:
    assert bench.run("print('\\ud800 ok')").status in {"passed", "failed"}


def test_the_executed_copy_is_a_valid_notebook(bench: Bench) -> None:
    result = bench.run("print(1)", "1/0")
    library: Any = nbformat
    library.validate(library.from_dict(bench.executed(result)))
