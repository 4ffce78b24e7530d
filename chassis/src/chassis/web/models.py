"""What request and response models have in common: unknown fields are refused, money is whole fen."""

import re
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, field_validator

Item = TypeVar("Item")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

AmountFen = Annotated[int, Field(strict=True, gt=0, le=10_000_000_00, description="Whole fen; 100 fen are 1 yuan.")]


class RequestModel(BaseModel):
    """A request body; a field that is not declared is refused and named."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_max_length=4096)

    @field_validator("*", mode="before")
    @classmethod
    def _without_controls(cls, value: Any) -> Any:
        """PostgreSQL stores no NUL, and nobody types any other control character into a field of one line."""
        texts = value if isinstance(value, list) else [value]
        if any(isinstance(text, str) and _CONTROL.search(text) for text in texts):
            raise ValueError("holds a control character")
        return value


class ResponseModel(BaseModel):
    """A response body."""

    model_config = ConfigDict(frozen=True)


class Words(ResponseModel):
    """What a citizen is shown, in both languages."""

    zh: str
    en: str


class ListModel(ResponseModel, Generic[Item]):
    """A page of a list; `next` is the `cursor` of the following page, null on the last."""

    items: list[Item]
    next: str | None = None


class ProblemModel(ResponseModel):
    """`application/problem+json` (RFC 9457) with the words to show and who should act."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    show: Words
    who_acts: str
    safe_to_retry: bool
    field: str | None = None
    instance: str | None = None
