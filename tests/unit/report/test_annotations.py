"""Where in a notebook's file a cell's line stands."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from envsolver.core.results import Failure, Result
from envsolver.report.annotations import line_in_file, line_of_failure

TEXTS = st.lists(
    st.text(st.sampled_from('ab "\\{}[]:\n\u00e4'), max_size=12).map(lambda text: text + "# \\"), min_size=1, max_size=4
)


def cells(*sources: object) -> dict[str, object]:
    noise = {"source": ["{", "]"], "cells": [{"source": "x"}], '"cells"': "\\"}
    return {
        "metadata": {"cells": [{"source": ["no"]}], **noise},
        "cells": [
            {
                "cell_type": "code",
                "metadata": noise,
                "outputs": [{"data": {"text/plain": ["source", '"source": ["']}, **noise}],
                "source": source,
                "attachments": noise,
            }
            for source in sources
        ],
        "nbformat": 4,
        "nbformat_minor": 4,
    }


@given(sources=st.lists(TEXTS, min_size=1, max_size=3), data=st.data())
def test_the_line_found_is_the_one_that_holds_the_text(sources: list[list[str]], data: st.DataObject) -> None:
    text = json.dumps(cells(*sources), indent=1, ensure_ascii=data.draw(st.booleans()), sort_keys=True)
    cell = data.draw(st.integers(1, len(sources)))
    line = data.draw(st.integers(1, len(sources[cell - 1])))
    found = line_in_file(text, cell, line)
    assert found is not None
    assert json.loads(text.split("\n")[found - 1].strip().rstrip(",")) == sources[cell - 1][line - 1]


def test_a_source_in_one_piece_is_found_where_it_stands() -> None:
    text = json.dumps(cells("a = 1\nb", "c"), indent=1)
    found = line_in_file(text, 2, 1)
    assert found is not None
    assert text.split("\n")[found - 1].strip() == '"source": "c",'
    assert line_in_file(json.dumps(cells("a", "b")), 2, 1) == 1


@pytest.mark.parametrize("text", ["", "]", "{}", "[]", '{"cells": [{"source": []}]}', '{"cells": [{', "\\"])
def test_what_is_no_such_notebook_has_no_line(text: str) -> None:
    assert line_in_file(text, 1, 1) is None


def test_a_failure_is_found_in_its_notebook(tmp_path: Path) -> None:
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_markdown_cell("# Title"), nbformat.v4.new_code_cell("a = 1\nb = 0\na / b\n")]
    nbformat.write(notebook, tmp_path / "a.ipynb")
    failure = Failure(cell=2, ename="E", evalue="", traceback="Cell In[1], line 3\n----> 3 a / b")
    result = Result(notebook="a.ipynb", group="", python="3.11", status="failed", failure=failure)
    line = line_of_failure(tmp_path, result)
    assert line is not None
    assert (tmp_path / "a.ipynb").read_text().split("\n")[line - 1].strip() == '"a / b\\n"'
    assert line_of_failure(tmp_path / "elsewhere", result) is None
