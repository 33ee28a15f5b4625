"""The one error that is the user's to mend."""


class InputError(ValueError):
    """Bad input or usage.

    The message is one sentence that names the file or option, says what is wrong and what to do. The command line
    prints it without a traceback and exits with code 2.
    """
