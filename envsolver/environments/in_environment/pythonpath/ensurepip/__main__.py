"""``python -m ensurepip``."""

import sys

sys.stdout.write("Requirement already satisfied: pip\n")
