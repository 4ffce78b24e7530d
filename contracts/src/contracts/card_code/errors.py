"""Everything that reading a card code may raise; a terminal that catches CardCodeError has caught all.

CardCodeError
├── CodeTooLong            more characters than any code has
├── CodeMalformed          not a card code of this version
├── IssuerUnknown          signed under a key that is not in the trust list
├── CodeForged             the signature is not the named key's, or the key is another cell's
├── CodeNotYetValid        made later than now: one of the two clocks is wrong
├── CodeExpired            older than its 60 seconds
├── HandleSealedElsewhere  the handle is sealed for another cell
└── TrustUnusable          the public keys at hand cannot be used

`reason` is stable for programs; the message is for people.
"""

from typing import ClassVar


class CardCodeError(Exception):
    """The card code is not accepted."""

    reason: ClassVar[str] = "card-code-refused"

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail or (type(self).__doc__ or "").strip())


class CodeTooLong(CardCodeError):
    """The text is longer than any card code."""

    reason = "code-too-long"


class CodeMalformed(CardCodeError):
    """The text is not a card code."""

    reason = "code-malformed"


class IssuerUnknown(CardCodeError):
    """The code is signed under a key that is not in the trust list."""

    reason = "issuer-unknown"


class CodeForged(CardCodeError):
    """The signature does not belong to this code."""

    reason = "code-forged"


class CodeNotYetValid(CardCodeError):
    """The code was made later than now: the terminal's clock is behind."""

    reason = "code-not-yet-valid"


class CodeExpired(CardCodeError):
    """The code is older than its 60 seconds; the card holder shows a fresh one."""

    reason = "code-expired"


class HandleSealedElsewhere(CardCodeError):
    """The handle inside this code is sealed for another cell."""

    reason = "handle-sealed-elsewhere"


class TrustUnusable(CardCodeError):
    """The public keys at hand cannot be used."""

    reason = "trust-unusable"
