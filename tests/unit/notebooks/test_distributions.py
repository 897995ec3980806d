"""Promise: an import name leads to the distributions that provide it, before any environment exists."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

import envsolver.notebooks
from envsolver.core.parsing import parse_requirement, parse_toml
from envsolver.notebooks.distributions import distributions_for, is_namespace

TABLE = Path(envsolver.notebooks.__file__).with_name("distributions.toml")


@pytest.mark.parametrize(
    ("module", "distribution"),
    [
        ("sklearn", "scikit-learn"),
        ("sklearn.svm", "scikit-learn"),
        ("cv2", "opencv-python"),
        ("PIL", "pillow"),
        ("PIL.Image", "pillow"),
        ("yaml", "pyyaml"),
        ("skimage", "scikit-image"),
        ("skopt", "scikit-optimize"),
        ("bs4", "beautifulsoup4"),
        ("dateutil", "python-dateutil"),
        ("git", "gitpython"),
        ("Crypto", "pycryptodome"),
        ("serial", "pyserial"),
        ("usb", "pyusb"),
        ("OpenSSL", "pyopenssl"),
        ("google.protobuf", "protobuf"),
        ("google.protobuf.message", "protobuf"),
        ("google.cloud.storage", "google-cloud-storage"),
        ("google.cloud.firestore", "google-cloud-firestore"),
        ("azure.storage.blob", "azure-storage-blob"),
        ("zope.interface", "zope-interface"),
        ("ruamel.yaml", "ruamel-yaml"),
        ("mpl_toolkits.mplot3d", "matplotlib"),
        ("mpl_toolkits.basemap", "basemap"),
        ("dask.dataframe", "dask"),
        ("dask.distributed", "distributed"),
        ("pylab", "matplotlib"),
        ("pkg_resources", "setuptools<82"),
        ("attr", "attrs"),
        ("dotenv", "python-dotenv"),
        ("jwt", "pyjwt"),
        ("zmq", "pyzmq"),
        ("IPython.display", "ipython"),
        ("Cython.Build", "cython"),
        ("pywt", "pywavelets"),
        ("faiss", "faiss-cpu"),
        ("umap", "umap-learn"),
        ("hydra", "hydra-core"),
        ("osgeo.gdal", "gdal"),
        ("Bio.SeqIO", "biopython"),
        ("botorch_community.models", "botorch"),
        ("numpy", "numpy"),
        ("scipy.stats", "scipy"),
        ("linear_operator", "linear-operator"),
        ("torch_geometric.nn", "torch-geometric"),
        ("netCDF4", "netcdf4"),
        ("azure.identity", "azure-identity"),
    ],
)
def test_the_likeliest_distribution_of_a_module(module: str, distribution: str) -> None:
    assert distributions_for(module, {})[0] == distribution


@pytest.mark.parametrize(
    "module",
    [
        "tinylib",
        "my_Own.Module",
        "made_one",
        "google",
        "google.cloud.unheard_of",
        "azure.whatever",
        "_private_",
        "tests",
    ],
)
def test_what_nobody_knows_has_no_distribution(module: str) -> None:
    assert distributions_for(module, {}) == ()


def test_all_distributions_that_provide_a_module_are_candidates() -> None:
    assert set(distributions_for("cv2", {})) >= {"opencv-python", "opencv-python-headless", "opencv-contrib-python"}


@pytest.mark.parametrize(
    ("module", "extra", "expected"),
    [
        ("sklearn", {"sklearn": "My_Sklearn"}, ("my-sklearn",)),
        ("sklearn.svm", {"sklearn": "mine"}, ("mine",)),
        ("lab.tools.plot", {"lab": "lab-core", "lab.tools": "lab-tools"}, ("lab-tools",)),
        ("google.cloud.storage", {"google": "mine"}, ("mine",)),
    ],
)
def test_the_users_table_wins_with_its_longest_name(
    module: str, extra: dict[str, str], expected: tuple[str, ...]
) -> None:
    assert distributions_for(module, extra) == expected


def test_the_table_names_each_module_once_and_each_distribution_normalised() -> None:
    sections = parse_toml(TABLE.read_text(encoding="utf-8"))
    alike = " ".join(sections.pop("named-alike").values()).split()
    rows = [(module, names.split()) for section in sections.values() for module, names in section.items()]
    assert len(rows) >= 250
    assert len(alike) >= 1500
    assert len({*alike, *(module for module, _ in rows)}) == len(alike) + len(rows)
    for module, texts in rows:
        names = [str(parse_requirement(text).name) for text in texts]
        assert names == [canonicalize_name(name) for name in dict.fromkeys(names)], module
        assert texts != [canonicalize_name(module)] or "." in module, f"{module} is named alike"


def test_namespaces_are_those_whose_parts_belong_to_different_distributions() -> None:
    assert [is_namespace(m) for m in ("google", "google.cloud", "azure", "numpy", "sklearn")] == [True] * 3 + [
        False
    ] * 2


def test_the_table_agrees_with_what_is_installed() -> None:
    installed = {
        module: {canonicalize_name(name) for name in names}
        for module, names in importlib.metadata.packages_distributions().items()
        if distributions_for(module, {})
    }
    assert installed
    for module, names in installed.items():
        assert names & {parse_requirement(text).name for text in distributions_for(module, {})}, module
