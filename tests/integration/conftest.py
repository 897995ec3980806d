"""Tests of clouds need libraries that only their own session installs; elsewhere they are not collected."""

from __future__ import annotations

from importlib.util import find_spec

NEEDED = ("boto3", "cryptography", "kubernetes_validate", "moto")

collect_ignore = [] if all(map(find_spec, NEEDED)) else ["kubernetes", "clouds"]
