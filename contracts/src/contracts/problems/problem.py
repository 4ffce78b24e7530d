"""The shape of an entry in the error catalogue.

A code is stable for ever: programs match on it. Its words may be improved at any time: people read them.
"""

from dataclasses import dataclass
from typing import Literal

WhoActs = Literal["citizen", "caller", "counter", "operator", "nobody"]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What one refusal means, whom it concerns and what to do about it (RFC 9457 `type`)."""

    code: str  # stable, kebab-case; the fragment of `type`
    status: int  # HTTP status
    cause: str  # for the developer of a channel, one sentence
    show_zh: str  # for the citizen, plain Chinese, with what would help
    show_en: str  # the same in English
    who_acts: WhoActs
    safe_to_retry: bool  # the same request may be sent again unchanged
