"""Fixtures of the tests of the command line."""

import pytest


@pytest.fixture
def run(run_command):
    """`run_command` by a short name."""
    return run_command
