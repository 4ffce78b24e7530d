"""What request and response models have in common: unknown fields are refused, money is whole fen."""

from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

Item = TypeVar("Item")

AmountFen = Annotated[int, Field(strict=True, gt=0, le=10_000_000_00, description="Whole fen; 100 fen are 1 yuan.")]


class RequestModel(BaseModel):
    """A request body; a field that is not declared is refused and named."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_max_length=4096)


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
