"""The one error that is the user's to mend, and checks that many need."""

from collections.abc import Iterable


class InputError(ValueError):
    """Bad input or usage.

    The message is one sentence that names the file or option, says what is wrong and what to do. The command line
    prints it without a traceback and exits with code 2.
    """


def check_share(name: str, value: float) -> None:
    """Refuse what is no share.

    Raises
    ------
    InputError
        If `value` does not lie between 0 and 1.
    """
    if not 0 <= value <= 1:
        raise InputError(f"{name}={value} is a share: give a number from 0 to 1.")


def check_known(name: str, value: str, known: Iterable[str]) -> None:
    """Refuse what is none of the names `known`, with an InputError that lists them."""
    if value not in known:
        raise InputError(f"{name}={value} is not known: use {', '.join(known)}.")
