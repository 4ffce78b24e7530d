"""Every way in which a command ends other than well, each with its exit code.

Failure                 1  something is not well
├── Refused             1  the API understood and said no
├── Misused             2  arguments, addresses or files that are not right
│   └── NotLetIn        2  the credentials are refused, or their client may not do this
└── Unreachable         3  no answer in time
    └── Garbage         3  an answer, but not One Card's
"""

from typing import ClassVar


class Failure(Exception):
    """Ends the command; the message is the one sentence that the operator reads."""

    exit_code: ClassVar[int] = 1


class Refused(Failure):
    """The API understood and said no."""


class Misused(Failure):
    """An argument, an address or a file is not right."""

    exit_code = 2


class NotLetIn(Misused):
    """The credentials are refused, or their client may not do this."""


class Unreachable(Failure):
    """There was no answer in time."""

    exit_code = 3


class Garbage(Unreachable):
    """What answered is not One Card, or not of this version."""
