"""The one error that is the user's to mend, and checks that many need."""

import errno
from collections.abc import Iterable


class InputError(ValueError):
    """Bad input or usage.

    The message is one sentence that names the file or option, says what is wrong and what to do. The command line
    prints it without a traceback and exits with code 2.

    Parameters
    ----------
    message : str
    asked : str, optional
        The same for who asks a server, where `message` names an option of the command line.
    """

    def __init__(self, message: str, asked: str = "") -> None:
        super().__init__(message)
        self.asked = asked or message


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


def explain(error: OSError) -> str:
    """What the operating system says of a file, and what to do: the disk is blamed only where it is the disk."""
    reason = error.strerror or " ".join(str(error).split())
    if error.errno in (errno.EACCES, errno.EPERM):
        return "cannot be opened: you may not read or write it; change its permissions"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"cannot be written ({reason}): free some space or choose another place"
    if error.errno in (errno.EIO, errno.EROFS):
        return f"cannot be read or written ({reason}): check the disk, or copy the file to another"
    if error.errno == errno.ENOENT:
        return "is not there (any more): check the path"
    return f"cannot be read or written ({reason}): check the file"
