"""Fixtures of several tests in this folder."""

import time

import pytest


@pytest.fixture
def clock(monkeypatch):
    """The monotonic clock, stopped: `clock[0]` is what it says, in seconds; a test moves it on."""
    seconds = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: seconds[0])
    return seconds
