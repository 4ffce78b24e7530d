"""The population register (人口库): do number, name and phone belong to one person?"""

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, StringConstraints

from simulators.modes import Faults, Mode, add_mode_routes, delay_answer
from simulators.people import People, magic_mode

Text = Annotated[str, StringConstraints(min_length=1, max_length=100)]


class RegisterQuestion(BaseModel):
    """Somebody's word about who they are."""

    model_config = ConfigDict(extra="forbid")

    document_number: Text
    name: Text
    phone: Text


class RegisterAnswer(BaseModel):
    """Whether it is so; of a person who does not match nothing is told."""

    match: bool
    area: str | None = None
    birth_date: date | None = None


def register_routes(people: People) -> APIRouter:
    """Routes under /register."""
    faults = Faults("register", frozenset({Mode.SLOW, Mode.DOWN, Mode.SILENT, Mode.WRONG}))
    router = APIRouter(prefix="/register", tags=["population register"])
    add_mode_routes(router, faults)

    @router.post("/checks", response_model=None)
    async def check(question: RegisterQuestion, request: Request) -> RegisterAnswer | dict[str, Any]:
        mode = faults.take(magic_mode(question.document_number))
        await delay_answer(mode, request)
        if mode is Mode.WRONG:
            return {"match": "perhaps"}
        person = people.find(question.document_number)
        if person is None or (person.name, person.phone) != (question.name, question.phone):
            return RegisterAnswer(match=False)
        return RegisterAnswer(match=True, area=person.area, birth_date=person.birth_date)

    return router
