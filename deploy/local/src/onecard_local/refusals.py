"""The one error of the runner: a sentence for the person at the terminal, never a traceback."""


class CannotStart(Exception):
    """Something on this machine stands in the way; the message is one clear sentence that says what to do."""
