"""People as others learn of them: pseudonymous, with the facts that someone decides on."""

from collections.abc import Iterable
from datetime import datetime

from contracts.events.identity import DataShown, PersonEnrolled
from identity_svc.people.domain import Person


def person_enrolled(person: Person) -> PersonEnrolled:
    """Tell that a person is enrolled, or that what others decide on has changed."""
    return PersonEnrolled(
        citizen=person.citizen, birth_month=person.birth_month, area=person.area, version=person.version
    )


def data_shown(person: Person, fields: Iterable[str], *, to: str, purpose: str, at: datetime) -> DataShown:
    """Tell that somebody else than the owner saw these fields."""
    return DataShown(citizen=person.citizen, fields=tuple(fields), to=to, purpose=purpose, at=at)
