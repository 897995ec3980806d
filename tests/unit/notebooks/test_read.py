"""Promise: each notebook is read as it is, whatever is wrong with it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from fakes import write_notebook

from envsolver.core.notebooks import Notebook
from envsolver.core.settings import NotebookSettings
from envsolver.notebooks.select import read_notebook


def read(root: Path, *sources: str, path: str = "a.ipynb", **metadata: object) -> Notebook:
    """Write a notebook and read it."""
    write_notebook(root, path, *sources, **metadata)
    return read_notebook(root, path)


def imports(notebook: Notebook) -> list[str]:
    """Return what a notebook imports; a question mark marks optional ones."""
    assert notebook.fault is None
    return [wanted.module + "?" * wanted.optional for wanted in notebook.imports]


FAULTS = [
    (b"", "the file is empty"),
    (b" \n", "the file is empty"),
    (b"{", "not JSON: Expecting property name enclosed in double quotes in line 1, column 2"),
    (b'{\n "cells": [,]}', "not JSON: Expecting value in line 2, column 12"),
    (b'{"a": "\xe9"}', "not UTF-8 text: byte 0xe9 in line 1"),
    ('{"nbformat": 4}'.encode("utf-16"), "not UTF-8 text: byte 0xff in line 1"),
    (b"[]", "not a notebook: its JSON is not an object"),
    (b"3", "not a notebook: its JSON is not an object"),
    (b"{}", "not a notebook: it has no `nbformat` number"),
    (b'{"nbformat": true, "cells": []}', "not a notebook: it has no `nbformat` number"),
    (b'{"nbformat": 4}', "not a notebook: `cells` is missing"),
    (b'{"nbformat": 4, "cells": {}}', "not a notebook: `cells` is not a list"),
    (b'{"nbformat": 4, "cells": [3]}', "not a notebook: cell 1 is not an object"),
    (b'{"nbformat": 4, "cells": [{}]}', "not a notebook: cell 1 has no `cell_type`"),
    (b'{"nbformat": 4, "cells": [{"cell_type": "code", "source": 3}]}', "the source of cell 1 is not text"),
    (b'{"nbformat": 4, "cells": [], "metadata": []}', "not a notebook: its `metadata` is not an object"),
    (b'{"nbformat": 2, "worksheets": []}', "nbformat 2 is too old"),
    (b'{"nbformat": 5, "cells": []}', "nbformat 5 is newer than 4"),
    (b'{"nbformat": 3}', "not a notebook: `worksheets` is missing"),
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a Git LFS pointer"),
    (b"<!DOCTYPE html>\n<html>\n", "a web page, not a notebook"),
    (b"\n<HTML lang=en>", "a web page, not a notebook"),
    (b'{\n<<<<<<< HEAD\n"a": 1\n=======\n"b": 2\n>>>>>>> x\n}', "holds merge conflict marks, the first in line 2"),
    (b"[" * 100_000, "nested too deeply"),
]


@pytest.mark.parametrize(("content", "fault"), FAULTS, ids=[fault for _, fault in FAULTS])
def test_a_file_that_is_no_usable_notebook_is_told_in_its_fault(tmp_path: Path, content: bytes, fault: str) -> None:
    (tmp_path / "a.ipynb").write_bytes(content)
    notebook = read_notebook(tmp_path, "a.ipynb")
    assert notebook.fault is not None
    assert fault in notebook.fault


def test_a_missing_file_and_a_directory_are_faults_too(tmp_path: Path) -> None:
    (tmp_path / "b.ipynb").mkdir()
    assert read_notebook(tmp_path, "a.ipynb").fault == "there is no such file"
    assert read_notebook(tmp_path, "b.ipynb").fault == "cannot be read: Is a directory"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_a_fault(tmp_path: Path) -> None:
    write_notebook(tmp_path, "a.ipynb").chmod(0)
    assert read_notebook(tmp_path, "a.ipynb").fault == "cannot be read: Permission denied"


def test_an_empty_notebook_is_fine(tmp_path: Path) -> None:
    notebook = read(tmp_path)
    assert (notebook.fault, notebook.code_cells, notebook.imports, notebook.language) == (None, 0, (), "python")


def test_a_byte_order_mark_is_let_pass(tmp_path: Path) -> None:
    place = write_notebook(tmp_path, "a.ipynb", "import a")
    place.write_text("\ufeff" + place.read_text())
    assert imports(read_notebook(tmp_path, "a.ipynb")) == ["a"]


def test_nbformat_3_is_read(tmp_path: Path) -> None:
    cells = [
        {"cell_type": "heading", "source": ["Title"], "level": 1},
        {"cell_type": "code", "input": ["import a\n", "import b"], "language": "python", "outputs": []},
    ]
    document = {"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": ""}, "worksheets": [{"cells": cells}]}
    (tmp_path / "a.ipynb").write_text(json.dumps(document))
    notebook = read_notebook(tmp_path, "a.ipynb")
    assert imports(notebook) == ["a", "b"]
    assert str(notebook.imports[1].origin) == "a.ipynb, cell 2, line 2"


@pytest.mark.parametrize(
    ("metadata", "language"),
    [
        ({}, "python"),
        ({"kernelspec": {"name": "python37464bitbaseconda52eab", "display_name": "x"}}, "python"),
        ({"kernelspec": {"name": "my-project"}}, "python"),
        ({"kernelspec": {"name": "python3", "language": "python"}}, "python"),
        ({"language_info": {"name": "ipython"}}, "python"),
        ({"language_info": {"name": "Python 3"}}, "python"),
        ({"kernelspec": {"language": "R", "name": "ir"}}, "r"),
        ({"language_info": {"name": "julia"}}, "julia"),
        ({"kernelspec": {"name": "julia-1.9", "display_name": "Julia"}}, "julia"),
        ({"kernelspec": {"name": "ir"}}, "r"),
        ({"kernelspec": "broken", "language_info": 3}, "python"),
    ],
)
def test_the_language_comes_from_the_metadata_and_not_from_a_stale_kernel(
    tmp_path: Path, metadata: dict[str, object], language: str
) -> None:
    write_notebook(tmp_path, "a.ipynb", **metadata)
    assert read_notebook(tmp_path, "a.ipynb").language == language


def test_the_code_of_another_language_is_not_looked_at(tmp_path: Path) -> None:
    notebook = read(tmp_path, "import a", "!pip install b", language_info={"name": "R"})
    assert (notebook.code_cells, notebook.imports, notebook.installs) == (2, (), ())


@pytest.mark.parametrize(
    ("execution", "cell_timeout", "allow_errors"),
    [
        ({"timeout": 30, "allow_errors": True}, 30.0, True),
        ({"timeout": -1}, None, False),
        ({"timeout": None, "allow_errors": "yes"}, None, False),
        ({"timeout": "30"}, None, False),
        ({"timeout": True}, None, False),
        ([], None, False),
    ],
)
def test_the_metadata_of_the_execution_is_honoured(
    tmp_path: Path, execution: object, cell_timeout: float | None, *, allow_errors: bool
) -> None:
    notebook = read(tmp_path, execution=execution)
    assert (notebook.cell_timeout, notebook.allow_errors) == (cell_timeout, allow_errors)


@pytest.mark.parametrize(("value", "group"), [({"group": "ml"}, "ml"), ({"group": " "}, None), ({}, None), (3, None)])
def test_the_group_of_the_metadata_is_read(tmp_path: Path, value: object, group: str | None) -> None:
    assert read(tmp_path, envsolver=value).group == group


def test_the_running_standard_library_is_left_out(tmp_path: Path) -> None:
    assert imports(read(tmp_path, "import os, sys, asyncio\nfrom __future__ import x")) == []


def test_the_first_mention_of_each_module_counts(tmp_path: Path) -> None:
    notebook = read(tmp_path, "from scipy import stats\nimport numpy", "import scipy.optimize\nimport scipy")
    assert [(wanted.module, str(wanted.origin)) for wanted in notebook.imports] == [
        ("scipy", "a.ipynb, cell 1, line 1"),
        ("numpy", "a.ipynb, cell 1, line 2"),
    ]


def test_a_module_that_is_needed_once_is_not_optional(tmp_path: Path) -> None:
    notebook = read(tmp_path, "try:\n    import a\nexcept ImportError:\n    pass", "import a.b")
    assert imports(notebook) == ["a.b"]


def test_the_parts_of_a_namespace_are_told_apart(tmp_path: Path) -> None:
    source = "from google.cloud import storage, bigquery\nimport google.protobuf\nfrom google.protobuf import message"
    assert imports(read(tmp_path, source)) == [
        "google.cloud.storage",
        "google.cloud.bigquery",
        "google.protobuf",
    ]


def test_colab_itself_is_never_asked_for_where_it_is_optional(tmp_path: Path) -> None:
    assert imports(read(tmp_path, "try:\n    import google.colab\nexcept ImportError:\n    pass")) == []
    assert imports(read(tmp_path, "from google.colab import drive")) == ["google.colab"]


def test_only_code_cells_that_run_count(tmp_path: Path) -> None:
    cells = [
        {"cell_type": "markdown", "source": "import a\n%pip install a"},
        {"cell_type": "raw", "source": "import b"},
        {"cell_type": "code", "source": "import c\n%pip install c", "metadata": {"tags": ["skip-execution"]}},
        {"cell_type": "code", "source": "import d", "metadata": {"tags": ["raises-exception"]}},
        {"cell_type": "code", "source": ["import ", "e"], "metadata": {"tags": "odd"}},
    ]
    (tmp_path / "a.ipynb").write_text(json.dumps({"nbformat": 4, "metadata": {}, "cells": cells}))
    notebook = read_notebook(tmp_path, "a.ipynb")
    assert imports(notebook) == ["d?", "e"]
    assert notebook.installs == ()
    assert notebook.code_cells == 3


def test_cells_that_the_configuration_leaves_out_ask_for_nothing(tmp_path: Path) -> None:
    write_notebook(
        tmp_path, "a.ipynb", "import a", "%pip install git+https://x.org/y", "import b", "# appendix", "import c"
    )
    settings = NotebookSettings(skip_cells=("git+",), stop_at="# appendix")
    notebook = read_notebook(tmp_path, "a.ipynb", settings)
    assert imports(notebook) == ["a", "b"]
    assert notebook.refused == ()


def test_local_modules_are_left_out_and_what_they_import_is_not(tmp_path: Path) -> None:
    (tmp_path / "nb" / "pack").mkdir(parents=True)
    (tmp_path / "nb" / "helper.py").write_text("import os, torch\nfrom pack.core import x\ndef f():\n    import late\n")
    (tmp_path / "nb" / "pack" / "__init__.py").write_text("from .extra import y\n")
    (tmp_path / "nb" / "pack" / "extra.py").write_text("import jax\nfrom . import core\n")
    (tmp_path / "nb" / "pack" / "core.py").write_text("import numpy\nimport helper\n")
    notebook = read(tmp_path, "import helper", path="nb/a.ipynb")
    assert sorted((wanted.module, str(wanted.origin)) for wanted in notebook.imports) == [
        ("jax", "nb/pack/extra.py:1"),
        ("numpy", "nb/pack/core.py:1"),
        ("torch", "nb/helper.py:1"),
    ]


def test_modules_on_the_search_path_further_up_and_written_by_the_notebook_are_local(tmp_path: Path) -> None:
    for path in ("lib/on_path.py", "docs/above.py", "top.py", "docs/deep/space/part.py"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    notebook = read(
        tmp_path,
        "import sys\nsys.path.append('../../lib')",
        "import on_path, above, top, written\nfrom space import part\nimport space.other",
        "%%writefile written.py\nimport never",
        path="docs/deep/a.ipynb",
    )
    assert imports(notebook) == ["space.other"]


def test_modules_in_a_directory_with_an_unknown_beginning_are_local_where_the_project_has_one(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'mine'\n")
    (tmp_path / "utils").mkdir()
    (tmp_path / "utils" / "header.py").write_text("import numpy\n")
    cell = "repo = git('rev-parse')\nsys.path.insert(0, repo + '/utils')\nimport header, elsewhere"
    assert imports(read(tmp_path, cell, path="docs/deep/a.ipynb")) == ["numpy", "elsewhere"]


WIDGETS = [
    ("from tqdm.notebook import tqdm", ["tqdm.notebook", "ipywidgets"]),
    ("import tqdm.notebook", ["tqdm.notebook", "ipywidgets"]),
    ("from tqdm import tqdm_notebook as tqdm", ["tqdm", "ipywidgets"]),
    ("try:\n    from tqdm.notebook import tqdm\nexcept ImportError:\n    pass", ["tqdm.notebook?", "ipywidgets?"]),
    ("from tqdm import tqdm", ["tqdm"]),
    ("from bokeh.sampledata.iris import flowers", ["bokeh.sampledata.iris", "bokeh_sampledata"]),
    ("from bokeh import sampledata", ["bokeh", "bokeh_sampledata"]),
    ("from bokeh.sampling import a", ["bokeh.sampling"]),
    ("from tqdm.auto import tqdm", ["tqdm.auto"]),
    ("%matplotlib widget", ["ipympl", "matplotlib"]),
    ("%matplotlib inline", ["matplotlib"]),
]


@pytest.mark.parametrize(("source", "expected"), WIDGETS, ids=[source for source, _ in WIDGETS])
def test_what_draws_with_widgets_wants_them_too(tmp_path: Path, source: str, expected: list[str]) -> None:
    assert imports(read(tmp_path, source)) == expected


def test_the_projects_own_package_is_wanted_unless_it_is_found_without_being_installed(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'mine'\n")
    (tmp_path / "src" / "mine").mkdir(parents=True)
    (tmp_path / "src" / "mine" / "__init__.py").write_text("import numpy\n")
    assert imports(read(tmp_path, "import mine", path="docs/a.ipynb")) == ["mine"]
    assert imports(read(tmp_path, "sys.path.insert(0, '../src')\nimport mine", path="docs/a.ipynb")) == [
        "mine?",
        "numpy",
    ]


def test_a_script_that_is_run_is_followed(tmp_path: Path) -> None:
    (tmp_path / "setup_it.py").write_text("import torch\n")
    assert imports(read(tmp_path, "%run setup_it.py")) == ["torch"]
    assert imports(read(tmp_path, "%run setup_it")) == ["torch"]


def test_a_notebook_that_is_run_is_followed_as_a_script_is(tmp_path: Path) -> None:
    (tmp_path / "lib" / "tools").mkdir(parents=True)
    (tmp_path / "lib" / "tools" / "helper.py").write_text("import jax\n")
    setup = [
        "import torch",
        "%pip install rich>=13",
        "import sys\nsys.path.append('lib/tools')",
        "%run lib/setup.ipynb",
    ]
    write_notebook(tmp_path, "lib/setup.ipynb", *setup)
    notebook = read(tmp_path, "%run lib/setup.ipynb", "import helper")
    assert [(wanted.module, str(wanted.origin)) for wanted in notebook.imports] == [
        ("torch", "lib/setup.ipynb, cell 1, line 1"),
        ("jax", "lib/tools/helper.py:1"),
    ]
    assert [(wanted.text, str(wanted.origin)) for wanted in notebook.installs] == [
        ("rich>=13", "lib/setup.ipynb, cell 2, line 1")
    ]
    write_notebook(tmp_path, "lib/setup.ipynb", "import jax")
    assert read_notebook(tmp_path, "a.ipynb").code_digest != notebook.code_digest


@pytest.mark.parametrize("name", ["nowhere.ipynb", "broken.ipynb", "../outside.ipynb"])
def test_a_notebook_that_is_run_and_cannot_be_read_is_left_to_the_cell(tmp_path: Path, name: str) -> None:
    root = tmp_path / "project"
    root.mkdir()
    (root / "broken.ipynb").write_text("{")
    write_notebook(tmp_path, "outside.ipynb", "import torch")
    assert imports(read(root, f"%run {name}\nimport numpy")) == ["numpy"]


SCRIPT = (
    '# /// script\n# requires-python = ">=3.10"\n# dependencies = [\n#   "numpy<2",\n#   "rich",\n# ]\n# ///\nx = 1'
)


def test_a_script_block_is_read_with_places(tmp_path: Path) -> None:
    notebook = read(tmp_path, "# title", SCRIPT)
    assert notebook.script is not None
    assert notebook.script.requires_python == ">=3.10"
    assert [(str(r.origin), r.text) for r in notebook.script.dependencies] == [
        ("a.ipynb, cell 2, line 4", "numpy<2"),
        ("a.ipynb, cell 2, line 5", "rich"),
    ]
    assert notebook.script_fault is None


@pytest.mark.parametrize(
    ("sources", "fault"),
    [
        (["# /// script\n# a = [\n# ///"], "a.ipynb, cell 1, line 1: the script block is not valid TOML"),
        (["# /// script\n# dependencies = 3\n# ///"], "must have a list of texts as `dependencies`"),
        (['# /// script\n# dependencies = ["a b"]\n# ///'], 'holds "a b", which is not a requirement'),
        (['# /// script\n# requires-python = "new"\n# ///'], 'holds requires-python = "new"'),
        (["# /// script\n# requires-python = 3\n# ///"], 'holds requires-python = "3"'),
        ([SCRIPT, SCRIPT], "more than one script block: a.ipynb, cell 1, line 1 and a.ipynb, cell 2, line 1"),
    ],
)
def test_a_script_block_that_cannot_be_read_is_told(tmp_path: Path, sources: list[str], fault: str) -> None:
    notebook = read(tmp_path, *sources)
    assert notebook.script is None
    assert notebook.script_fault is not None
    assert fault in notebook.script_fault


@pytest.mark.parametrize("source", ["# /// script\n# dependencies = []", "# /// other\n# a = 1\n# ///", "/// script"])
def test_what_is_no_complete_script_block_is_ignored(tmp_path: Path, source: str) -> None:
    notebook = read(tmp_path, source)
    assert (notebook.script, notebook.script_fault) == (None, None)


def test_the_digest_changes_with_code_and_tags_alone(tmp_path: Path) -> None:
    base = read(tmp_path, "x = 1", "y = 2").code_digest
    assert len(base) == 64
    assert read(tmp_path, "x = 1", "y = 2", kernelspec={"name": "z"}).code_digest == base
    assert read(tmp_path, "x = 1", "y = 3").code_digest != base
    assert read(tmp_path, "x = 1y = 2").code_digest != base
    document = json.loads((tmp_path / "a.ipynb").read_text())
    document["cells"][0]["metadata"]["tags"] = ["skip-execution"]
    (tmp_path / "a.ipynb").write_text(json.dumps(document))
    assert read_notebook(tmp_path, "a.ipynb").code_digest != read(tmp_path, "x = 1y = 2").code_digest


def test_odd_strings_in_a_notebooks_code_warn_nobody(tmp_path: Path) -> None:
    assert imports(read(tmp_path, "x = '\\d'\nx is 3\nimport a")) == ["a"]


@pytest.mark.parametrize(("kind", "sound"), [("code", False), ("markdown", True)])
def test_code_that_no_encoding_can_send_is_told_with_its_place(tmp_path: Path, kind: str, sound: bool) -> None:
    cell = f'{{"cell_type": "{kind}", "source": "x = 1\\n# \\ud800"}}'
    (tmp_path / "a.ipynb").write_text(f'{{"nbformat": 4, "cells": [{cell}]}}')
    fault = read_notebook(tmp_path, "a.ipynb").fault
    assert fault is None if sound else fault is not None and fault.endswith("in cell 1, line 2")


SPAN = {"iopub.execute_input": "2024-05-01T10:00:00.000000Z", "shell.execute_reply": "2024-05-01T10:00:02.500000Z"}


@pytest.mark.parametrize(
    ("cells", "metadata", "seconds"),
    [
        ([{"execution": SPAN}, {"execution": SPAN}], {}, 5.0),
        ([{"execution": SPAN}, {}], {"papermill": {"duration": 99}}, 2.5),
        (
            [{"ExecuteTime": {"start_time": "2021-02-03T04:05:06.500Z", "end_time": "2021-02-03T04:05:07.500Z"}}],
            {},
            1.0,
        ),
        ([{"ExecuteTime": {"start_time": "2021-02-03T04:05:06.500", "end_time": "2021-02-03T04:05:07.500"}}], {}, 1.0),
        ([{"papermill": {"duration": 0.5, "status": "completed"}}], {}, 0.5),
        ([{}], {"papermill": {"duration": 12.5}}, 12.5),
        ([{"execution": {**SPAN, "shell.execute_reply": "2024-05-01T09:00:00Z"}}], {}, None),
        ([{"execution": {**SPAN, "shell.execute_reply": "yesterday"}}], {}, None),
        ([{"execution": {**SPAN, "shell.execute_reply": "2024-05-01T12:00:00+02:00"}}], {}, None),
        ([{"execution": ["odd"], "papermill": {"duration": "long"}}], {"papermill": 3}, None),
        ([{}], {}, None),
    ],
)
def test_a_notebook_tells_what_it_took_when_it_was_saved(
    tmp_path: Path, cells: list[dict[str, Any]], metadata: dict[str, Any], seconds: float | None
) -> None:
    path = write_notebook(tmp_path, "a.ipynb", *["x = 1" for _ in cells], **metadata)
    document = json.loads(path.read_text())
    for cell, table in zip(document["cells"], cells, strict=True):
        cell["metadata"] = table
    path.write_text(json.dumps(document))
    assert read_notebook(tmp_path, "a.ipynb").recorded_seconds == seconds
