"""Names of the files and folders that envsolver makes, each written once."""

STATE = ".envsolver"
"""A project's folder for what is remembered of it, and for its runs."""
HISTORY = "history.sqlite"
"""What is remembered from run to run, in the state."""
RUNS = "runs"
"""The folder of all runs, in the state."""
LATEST = "latest"
"""The link to the newest run."""
LOGS = "logs"
"""The folder of logs, in a run's."""
COVERAGE_DATA = "coverage"
"""The folder of what coverage measured, in a run's."""
RESULTS = "results.json"
JUNIT = "junit.xml"
REPORT = "report.html"
TEST_FILES = "tests/booktests"
"""Where test files are, unless the project says otherwise."""
TESTED = "booktests"
"""The folder of the copies and logs that test files leave, in the state."""

TEMPLATES_ORDER = ".templates"
ENVIRONMENT_ORDER = ".environment"
"""How the files end that say what a cluster's node starts and builds."""
TEMPLATES_FACTS = ".facts"
"""How the file ends in which a node keeps what its templates found out."""


def history_name(strategy: str) -> str:
    """Return the name of the file that remembers the runs with a strategy; empty for those without one."""
    return HISTORY.replace(".", f"-{strategy}.", 1) if strategy else HISTORY
