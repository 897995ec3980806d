"""A missing module is told with what helps: the package to add, or the folder of the project in which it lies."""

from __future__ import annotations

from pathlib import Path

import pytest

from envsolver.core.jobs import Binding, Job
from envsolver.worker.missing_modules import missing_module_advice

PLACE = "requirements/ml.in"
ADD = "; if it should be there, add {} to requirements/ml.in"
PROVIDED = ADD.format("what provides {}")


def job(root: Path, notebook: str = "pkg/examples/model/a.ipynb") -> Job:
    binding = Binding(requirements_place=PLACE, project="my-pkg host/me/my_pkg")
    return Job(
        id="j", notebook=notebook, group="ml", python="3.11", root=str(root), run_dir="/r", run_id="r", binding=binding
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    files = [
        "pyproject.toml",
        "pkg/__init__.py",
        "pkg/examples/__init__.py",
        "pkg/examples/model/__init__.py",
        "pkg/examples/model/agents.py",
        "pkg/torch/__init__.py",
        "scripts/vehicle.py",
        "scripts/twice.py",
        "other/twice.py",
        "plain/data.csv",
        "helpers.py",
        "env/pyvenv.cfg",
        "env/lib/hidden.py",
    ]
    for path in files:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("module", "where", "path"),
    [
        ("model", "the project's folder pkg/examples", ".."),
        ("vehicle", "the project's folder scripts", "../../../scripts"),
        ("helpers", "the project's root folder", "../../.."),
    ],
    ids=["a package above the notebook", "a folder elsewhere", "the root"],
)
def test_a_module_that_lies_in_one_folder_of_the_project_is_shown_there(
    root: Path, module: str, where: str, path: str
) -> None:
    advice = missing_module_advice(job(root), "ModuleNotFoundError", f"No module named '{module}'", "")
    assert advice == (
        f'; {module} lies in {where}: if that is meant, put `import sys; sys.path.insert(0, "{path}")` ahead of its '
        f"import, else add what provides {module} to {PLACE}"
    )


def test_where_a_library_says_it_in_its_own_words_the_cause_of_its_error_names_the_module(root: Path) -> None:
    said = "dask.distributed is not installed.\n\n  conda install dask distributed"
    cause = "ModuleNotFoundError: No module named 'distributed'\n\nThe above exception was the direct cause of"
    for ename in ("ModuleNotFoundError", "ImportError"):
        assert missing_module_advice(job(root), ename, said, cause) == PROVIDED.format("distributed")


@pytest.mark.parametrize("module", ["twice", "torch", "plain", "hidden", "agents", "absent"])
def test_a_module_that_lies_in_several_or_none_is_a_package_to_add(root: Path, module: str) -> None:
    advice = missing_module_advice(job(root), "ModuleNotFoundError", f"No module named '{module}'", "")
    assert advice == PROVIDED.format(module)


def test_a_module_that_environments_used_to_have_is_told_with_what_still_provides_it(root: Path) -> None:
    said = "No module named 'pkg_resources'"
    assert missing_module_advice(job(root), "ModuleNotFoundError", said, "") == ADD.format("setuptools<82")


@pytest.mark.parametrize(
    ("said", "added"),
    [
        ("It requires numba. Install using `conda install numba`.", "numba"),
        ("try: conda install -c conda-forge esmpy", "esmpy"),
        ("run pip install --upgrade 'boost-histogram>=1.2' first", "boost-histogram"),
        ("Use pip install my_pkg[plots, io] to get it", "-e .[plots, io]"),
        ("pip install other[all].", "other[all]"),
        ("Install fsspec-xrootd to access xrootd storage system. Note: 'root' is", "fsspec-xrootd"),
        ("Please install `h5py` for that", "h5py"),
        (
            "Missing optional dependency 'pyarrow.parquet'. pyarrow is required. Use pip or conda to install it",
            "pyarrow",
        ),
        ("Missing dependency: `scikit-image`", "scikit-image"),
    ],
)
def test_the_package_that_a_library_advises_to_install_is_the_one_to_add(root: Path, said: str, added: str) -> None:
    assert missing_module_advice(job(root), "ImportError", said, "") == ADD.format(added)


@pytest.mark.parametrize(
    ("said", "module"),
    [
        ("pyOptSparseDriver is not available, pyOptsparse is not installed.", "pyOptsparse"),
        ("PyEphem must be installed", "PyEphem"),
        ("The `scikit-image` package is not installed", "scikit-image"),
    ],
)
def test_what_a_library_says_is_not_installed_is_what_to_add(root: Path, said: str, module: str) -> None:
    assert missing_module_advice(job(root), "ImportError", said, "") == PROVIDED.format(module)


@pytest.mark.parametrize(
    ("ename", "said"),
    [
        ("ImportError", "A package is not installed"),
        ("ImportError", "It needs a solver, and it is not installed"),
        ("RuntimeError", "PyEphem must be installed"),
        ("ImportError", "pip install -r requirements.txt"),
        ("ImportError", "pip install git+https://example.org/a.git"),
        ("ImportError", "pip install ./folder"),
        ("ImportError", "cannot import name 'a'"),
        ("ImportError", "Install the package first"),
        ("ImportError", "Install it to plot"),
        ("ImportError", "Missing optional dependency for this feature"),
        ("ValueError", "No module named 'model'; pip install model"),
    ],
)
def test_what_names_no_package_is_given_no_advice(root: Path, ename: str, said: str) -> None:
    assert missing_module_advice(job(root), ename, said, "") == ""


def test_an_error_of_another_name_counts_where_it_advises_what_its_cause_missed(root: Path) -> None:
    said = "The separate my_data is needed in order to use it. Install with 'pip install my_data'."
    cause = "ModuleNotFoundError: No module named 'my_data'\n\nDuring handling of the above exception"
    assert missing_module_advice(job(root), "RuntimeError", said, cause) == PROVIDED.format("my_data")
    assert missing_module_advice(job(root), "RuntimeError", "It is broken", cause) == ""
    assert missing_module_advice(job(root), "RuntimeError", said, "") == ""
