"""Data of others to data sets and back: what `python -m training.convert` does, a module for each kind of source."""
