"""Whether an environment still holds what was installed into it.

Two checks: at each use, that nothing is gone from the folder where packages stand, which is one listing; and file by
file, against the packages' own records, once a kernel has died before it was ready.
"""

from __future__ import annotations

import contextlib
import csv
import os
from pathlib import Path

from envsolver.core.parsing import ODD_INPUT

_MADE_ANEW = (".pyc", ".pyo")


def installed_names(prefix: Path) -> list[str]:
    """Return what stands in a virtualenv's folder of packages, sorted; bytecode is left out."""
    names: set[str] = set()
    for folder in _folders(prefix):
        with contextlib.suppress(OSError):
            names.update(os.listdir(folder))  # noqa: PTH208  names are all that is wanted
    return sorted(names - {"__pycache__"})


def missing_files(prefix: Path) -> list[str]:
    """Return the files that the packages of a virtualenv say they have and that are not there, sorted.

    A package whose own record cannot be read counts as missing.
    """
    missing: set[str] = set()
    for folder in _folders(prefix):
        for information in sorted(folder.glob("*.dist-info")):
            record = f"{information.name}/RECORD"
            try:
                text = (folder / record).read_text(encoding="utf-8")
                files = [row[0] for row in csv.reader(text.splitlines()) if row]
            except (*ODD_INPUT, csv.Error):
                files = []
            if record not in files:  # each names itself
                missing.add(record)
            kept = (file for file in files if not file.endswith(_MADE_ANEW))
            missing.update(file for file in kept if not os.path.lexists(folder / file))
    return sorted(missing)


def _folders(prefix: Path) -> list[Path]:
    return sorted(prefix.glob("lib/python*/site-packages"))
