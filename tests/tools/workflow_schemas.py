"""As a program: check by their schemas what GitHub, GitLab, CircleCI and pre-commit read, here and in the pages."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
WORKFLOW, ACTION, GITLAB = "vendor.github-workflows", "vendor.github-actions", "vendor.gitlab-ci"
CIRCLE, HOOKS, KUBERNETES = "vendor.circle-ci", "pre-commit", "Kubernetes"


_KEYS = {"runs": ACTION, "on": WORKFLOW, "version": CIRCLE, "repos": HOOKS, "apiVersion": KUBERNETES}
"""Keys of the outermost level that only one kind of file has; what has none of them is GitLab's."""


def examples() -> list[str]:
    """Return the blocks of YAML that the pages show."""
    pages = sorted(page for page in (ROOT / "docs").rglob("*.md") if "_build" not in page.parts)
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    return re.findall(r"^```yaml\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def schema_of(text: str) -> str:
    """Return the schema that a block of YAML must fit."""
    keys = re.findall(r"^(\w+):", text, re.MULTILINE)
    return next((_KEYS[key] for key in keys if key in _KEYS), GITLAB)


def check(schema: str, *paths: Path) -> None:
    """End the program unless files fit a schema; of Kubernetes' there is none at hand."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *map(str, paths)]
    if schema == HOOKS:
        command = [sys.executable, "-m", "pre_commit", "validate-config", *map(str, paths)]
    if schema != KUBERNETES:
        subprocess.run(command, check=True)


def main(directory: Path) -> None:
    """Check all; the documentation's examples are written to a directory."""
    github = ROOT / ".github"
    check(WORKFLOW, *sorted((github / "workflows").glob("*.yml")))
    check(ACTION, *sorted((github / "actions").glob("*/action.yml")))
    check("vendor.dependabot", github / "dependabot.yml")
    check("vendor.github-issue-forms", github / "ISSUE_TEMPLATE/bug.yml", github / "ISSUE_TEMPLATE/idea.yml")
    check("vendor.github-issue-config", github / "ISSUE_TEMPLATE/config.yml")
    check("vendor.citation-file-format", ROOT / "CITATION.cff")
    manifest = [sys.executable, "-m", "pre_commit", "validate-manifest", str(ROOT / ".pre-commit-hooks.yaml")]
    subprocess.run(manifest, check=True)
    for number, text in enumerate(examples(), 1):
        path = directory / f"example-{number}.yml"
        path.write_text(text, encoding="utf-8")
        check(schema_of(text), path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
