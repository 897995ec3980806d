"""As a program: check by their schemas what GitHub, GitLab and pre-commit read, here and in the documentation."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
WORKFLOW, ACTION, GITLAB = "vendor.github-workflows", "vendor.github-actions", "vendor.gitlab-ci"


PAGES = [ROOT / "docs/how-to" / name for name in ("github.md", "gitlab.md")]


def examples() -> list[str]:
    """Return the blocks of YAML of the pages on systems."""
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    return re.findall(r"^```yaml\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def schema_of(text: str) -> str:
    """Return the schema that a block of YAML must fit, by the keys at its beginning."""
    if re.search(r"^runs:", text, re.MULTILINE):
        return ACTION
    return WORKFLOW if re.search(r"^on:", text, re.MULTILINE) else GITLAB


def check(schema: str, *paths: Path) -> None:
    """End the program unless files fit a schema."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *map(str, paths)]
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
