"""A reason ends with what to do, where an exception's text tells what it comes from."""

from __future__ import annotations

from pathlib import Path

import pytest

from envsolver.core.jobs import Binding, Job
from envsolver.worker.error_advice import error_advice

SKIP = 'skip the notebook with `skip = "<reason>"` in [notebook."docs/a.ipynb"] of envsolver.toml'


@pytest.fixture
def job(tmp_path: Path) -> Job:
    root, prefix = tmp_path / "project", tmp_path / "env"
    library = prefix / "lib" / "python3.11" / "site-packages"
    for folder in ("numpy", "sklearn", "my_lib", "numpy-2.3.1.dist-info"):
        (library / folder).mkdir(parents=True)
    (library / "numpy-2.3.1.dist-info" / "METADATA").write_text("Name: numpy\nVersion: 2.3.1\n", encoding="utf-8")
    for path in ("data/prices.csv", "docs/here.csv", "one/twice.csv", "two/twice.csv", ".git/hidden.csv"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    binding = Binding(prefix=str(prefix), requirements_place="requirements/ml.in", project="my-lib host/me/my_lib")
    return Job(
        id="j",
        notebook="docs/a.ipynb",
        group="ml",
        python="3.11",
        root=str(root),
        run_dir="/r",
        run_id="r",
        binding=binding,
    )


@pytest.mark.parametrize(
    ("ename", "said", "shown"),
    [
        ("ImportError", "cannot import name 'trapz' from 'numpy.core' ({prefix}/lib/numpy/core.py)", "numpy 2.3.1"),
        ("AttributeError", "module 'numpy' has no attribute 'float'.\n`np.float` was a deprecated", "numpy 2.3.1"),
        ("AttributeError", "`np.float_` was removed in the NumPy 2.0 release. Use `np.float64`", "numpy 2.3.1"),
        ("ImportError", "cannot import name 'x' from 'sklearn' ({prefix}/lib/sklearn/__init__.py)", "sklearn"),
    ],
)
def test_a_name_that_an_installed_package_lacks_is_a_matter_of_its_version(
    job: Job, ename: str, said: str, shown: str
) -> None:
    advice = error_advice(job, ename, said.format(prefix=job.binding.prefix), "")
    assert advice == f"; {shown} has no such name: if another version has it, bound that in requirements/ml.in"


@pytest.mark.parametrize(
    ("ename", "said"),
    [
        ("ImportError", "cannot import name 'x' from 'numpy' (/home/me/numpy.py)"),
        ("ImportError", "cannot import name 'x' from 'my_lib' ({prefix}/lib/my_lib/__init__.py)"),
        ("ImportError", "cannot import name 'x' from partially initialized module 'numpy' (most likely circular)"),
        ("AttributeError", "module 'helpers' has no attribute 'x'"),
        ("AttributeError", "'numpy.ndarray' object has no attribute 'x'"),
        ("ValueError", "module 'numpy' has no attribute 'x'"),
    ],
)
def test_a_name_that_the_project_or_an_object_lacks_is_not(job: Job, ename: str, said: str) -> None:
    assert error_advice(job, ename, said.format(prefix=job.binding.prefix), "") == ""


@pytest.mark.parametrize(
    "path",
    [
        "env/lib/python3.11/site-packages/sklearn/svm.py",
        "env/lib/python3.11/site-packages/sklearn/svm/__init__.py",
        "env/lib/python3.11/site-packages/sklearn/svm.cpython-311-x86_64-linux-gnu.so",
        "project/sklearn/svm.py",
        "project/src/sklearn/svm/__init__.py",
    ],
)
def test_a_name_that_is_a_module_nothing_imported_is_no_matter_of_a_version(
    job: Job, tmp_path: Path, path: str
) -> None:
    said = "module 'sklearn' has no attribute 'svm'"
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).touch()
    advice = error_advice(job, "AttributeError", said, "")
    assert advice == "; sklearn.svm is a module that nothing imported before: put `import sklearn.svm` ahead"
    assert "import" not in error_advice(job, "AttributeError", said.replace("svm", "sv"), "")
    assert error_advice(job, "AttributeError", f"partially initialized {said} (circular import)", "") == ""


@pytest.mark.parametrize(
    ("said", "traceback"),
    [
        ("<urlopen error [Errno -3] Temporary failure in name resolution>", ""),
        ("could not fetch it", "gaierror: [Errno -2] Name or service not known\n\nDatasetError: could not fetch it"),
    ],
)
def test_a_network_that_is_out_of_reach_is_told_also_behind_a_librarys_own_words(
    job: Job, said: str, traceback: str
) -> None:
    assert error_advice(job, "AnyError", said, traceback) == (
        f"; it asks for the network, and what it asks for was out of reach: run it where that is there, or {SKIP}"
    )


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        (
            "[Errno 2] No such file or directory: 'data/prices.csv'",
            "; a notebook runs in its own folder, here docs, and the project has that file as data/prices.csv",
        ),
        ("No such file: '../../made.nc'", f"; the project has no file made.nc: put it there, or {SKIP}"),
        (
            "[Errno 2] No such file or directory: 'hidden.csv'",
            f"; the project has no file hidden.csv: put it there, or {SKIP}",
        ),
        ("[Errno 2] No such file or directory: 'twice.csv'", ""),
        ("[Errno 2] No such file or directory: 'here.csv'", ""),
        ("[Errno 2] No such file or directory: '/home/me/a.csv'", ""),
        ("nothing is said", ""),
    ],
)
def test_a_missing_file_is_looked_for_in_the_project(job: Job, said: str, advice: str) -> None:
    assert error_advice(job, "FileNotFoundError", said, "") == advice
    assert error_advice(job, "OSError", said, "") == ""


def test_a_missing_program_is_not_taken_for_a_file(job: Job) -> None:
    said = "[Errno 2] No such file or directory: 'dot'"
    assert error_advice(job, "FileNotFoundError", said, "File /usr/lib/python3.11/subprocess.py:1955") == (
        f"; no program dot is on the PATH: install it on the machine, or {SKIP}"
    )


@pytest.mark.parametrize(
    ("ename", "said", "traceback"),
    [
        ("ImportError", "libGL.so.1: cannot open shared object file: No such file or directory", ""),
        ("OSError", "libGL.so.1: cannot open shared object file: No such file or directory", ""),
        (
            "ImportError",
            "OpenCV could not be loaded; run pip install opencv-python",
            "ImportError: libGL.so.1: cannot open shared object file: No such file or directory",
        ),
    ],
)
def test_a_missing_library_is_the_machines(job: Job, ename: str, said: str, traceback: str) -> None:
    assert error_advice(job, ename, said, traceback) == (
        f"; no library libGL.so.1 is on the machine: install the system's package that has it, or {SKIP}"
    )
