"""Stands in for ensurepip in a notebook under test, since it would put pip into a shared environment."""


def bootstrap(**_: object) -> None:
    """Do nothing: what stands in for pip is there already."""


def version() -> str:
    """Return the version of what stands in for pip."""
    return "0"
