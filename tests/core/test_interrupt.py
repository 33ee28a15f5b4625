"""A wish to stop ends a block that need not be whole, once."""

import os
import signal

from veridical.core.interrupt import left_at_stop


def test_a_block_is_left_once_and_tidies_up():
    said, before = [], signal.getsignal(signal.SIGINT)
    with left_at_stop(lambda: said.append("stop")):
        try:
            os.kill(os.getpid(), signal.SIGINT)
            said.append("not left")
        finally:
            os.kill(os.getpid(), signal.SIGINT)  # somebody is impatient
            said.append("tidy")
    assert said == ["stop", "stop", "tidy"] and signal.getsignal(signal.SIGINT) is before


def test_an_error_of_the_block_stays_one():
    caught = None
    try:
        with left_at_stop(lambda: None):
            raise ValueError("its own")
    except ValueError as error:
        caught = error
    assert str(caught) == "its own"
