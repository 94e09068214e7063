"""How fast, and what each part is worth: a command for each question."""

import training  # noqa: F401  first of all: from here on Ctrl-C ends a command that still imports
