"""The tables of people and enrolments, and the only SQL that touches them.

Invariant: document number, name and phone are sealed with their row as associated data, and found through keyed
hashes only; nothing here returns or stores them otherwise.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.crypto.fields import FieldKeys
from chassis.crypto.keyed_hash import KeyedHashes
from chassis.keys import KeyFolder
from contracts.document_number import DocumentNumber
from identity_svc.people.domain import (
    CitizenUnknown,
    Claim,
    Enrolment,
    EnrolmentNotFound,
    EnrolmentState,
    Limit,
    Person,
    RegisterAnswer,
    TooManyEnrolments,
)

_PERSON = "citizen, document_number, name, phone, birth_month, area, version, changed_at"
_PERSON_BY_ID = text(f"SELECT {_PERSON} FROM person WHERE citizen = :citizen")
_PEOPLE_BY_IDS = text(f"SELECT {_PERSON} FROM person WHERE citizen = ANY(CAST(:citizens AS uuid[]))")
_PERSON_BY_NUMBER = text(f"SELECT {_PERSON} FROM person WHERE document_hash = ANY(CAST(:hashes AS bytea[]))")
_LOCK_NUMBER = text("SELECT pg_advisory_xact_lock(:slot)")
_SAVE_PERSON = text(
    "INSERT INTO person"
    " (citizen, document_hash, document_number, name, phone, birth_month, area, version, changed_at) VALUES"
    " (:citizen, :document_hash, :document_number, :name, :phone, :birth_month, :area, :version, :changed_at)"
    " ON CONFLICT (citizen) DO UPDATE SET document_hash = excluded.document_hash,"
    " document_number = excluded.document_number, name = excluded.name, phone = excluded.phone,"
    " birth_month = excluded.birth_month, area = excluded.area, version = excluded.version,"
    " changed_at = excluded.changed_at"
)
_ADD_ENROLMENT = text(
    "INSERT INTO enrolment"
    " (id, document_number, name, phone, match, birth_month, area, code_hash, state, tries, expires_at) VALUES"
    " (:id, :document_number, :name, :phone, :match, :birth_month, :area, :code_hash, :state, :tries, :expires_at)"
)
_ENROLMENT_END = text("SELECT expires_at FROM enrolment WHERE id = :id")
_LOCK_ENROLMENT = text(
    "SELECT id, document_number, name, phone, match, birth_month, area, code_hash, state, tries, expires_at"
    " FROM enrolment WHERE id = :id FOR UPDATE"
)
_SAVE_ENROLMENT = text("UPDATE enrolment SET state = :state, tries = :tries WHERE id = :id")
_FORGET_ENROLMENTS = text(
    "DELETE FROM enrolment WHERE id IN (SELECT id FROM enrolment WHERE expires_at < :before"
    " ORDER BY expires_at LIMIT :limit FOR UPDATE SKIP LOCKED) RETURNING id"
)
_FORGET_TRIES = text(
    "DELETE FROM enrolment_tries WHERE subject IN (SELECT subject FROM enrolment_tries WHERE since < :before"
    " ORDER BY since LIMIT :limit FOR UPDATE SKIP LOCKED) RETURNING 1"
)
_TRIES = text("SELECT tries, since FROM enrolment_tries WHERE subject = :subject AND since > :begin")
_COUNT_TRY = text(
    "INSERT INTO enrolment_tries AS known (subject, since, tries) VALUES (:subject, :now, 1)"
    " ON CONFLICT (subject) DO UPDATE SET"
    " tries = CASE WHEN known.since > :begin THEN known.tries + 1 ELSE 1 END,"
    " since = CASE WHEN known.since > :begin THEN known.since ELSE :now END"
    " RETURNING tries, since"
)


@dataclass(frozen=True, kw_only=True)
class PersonalData:
    """The keys that personal data is sealed and found with."""

    fields: FieldKeys
    document_numbers: KeyedHashes
    codes: KeyedHashes
    limits: KeyedHashes
    bodies: KeyedHashes  # of requests that hold personal data: what idempotency remembers of them

    @classmethod
    def from_folder(cls, keys: KeyFolder) -> Self:
        """Read the keys of kinds `field` and `hash`."""
        hash_keys = keys.secrets("hash")
        return cls(
            fields=FieldKeys(keys.secrets("field")),
            document_numbers=KeyedHashes(hash_keys, "document-number"),
            codes=KeyedHashes(hash_keys, "one-time-code"),
            limits=KeyedHashes(hash_keys, "limit"),
            bodies=KeyedHashes(hash_keys, "request-body"),
        )

    def code_hash(self, about: UUID, code: str) -> bytes:
        """Hash a one-time code for the one thing that it opens; six digits are safe only under a key."""
        return self.codes.current(f"{about}:{code}")

    def code_is(self, stored: bytes, about: UUID, code: str) -> bool:
        """Whether `code` is the one that was hashed."""
        return stored in self.codes.candidates(f"{about}:{code}")


class PeopleStore:
    """Enrolled people; one for each document number."""

    def __init__(self, session: AsyncSession, personal: PersonalData) -> None:
        self._session = session
        self._personal = personal

    async def get(self, citizen: UUID) -> Person:
        """Return a person; raises CitizenUnknown."""
        row = (await self._session.execute(_PERSON_BY_ID, {"citizen": citizen})).one_or_none()
        if row is None:
            raise CitizenUnknown
        return self._person(row)

    async def get_all(self, citizens: Sequence[UUID]) -> list[Person]:
        """Return those of the citizens who are enrolled, in no order."""
        rows = await self._session.execute(_PEOPLE_BY_IDS, {"citizens": [str(citizen) for citizen in citizens]})
        return [self._person(row) for row in rows]

    async def by_document_number(self, number: DocumentNumber) -> Person | None:
        """Return the person with this number; None for a stranger."""
        hashes = self._personal.document_numbers.candidates(number.text)
        row = (await self._session.execute(_PERSON_BY_NUMBER, {"hashes": hashes})).one_or_none()
        return self._person(row) if row else None

    async def lock_number(self, number: DocumentNumber) -> None:
        """Let one transaction at a time decide who has this number, also while nobody has it yet.

        The slot is that of the older key: processes before and after a rotation of keys agree on it.
        """
        oldest = self._personal.document_numbers.candidates(number.text)[-1]
        await self._session.execute(_LOCK_NUMBER, {"slot": int.from_bytes(oldest[-8:], "big", signed=True)})

    async def save(self, person: Person) -> None:
        """Write a new or changed person; the caller has locked the number."""
        place = f"person:{person.citizen}"
        values = {
            "citizen": person.citizen,
            "document_hash": self._personal.document_numbers.current(person.document_number.text),
            "birth_month": person.birth_month,
            "area": person.area,
            "version": person.version,
            "changed_at": person.changed_at,
        }
        claim = Claim(document_number=person.document_number, name=person.name, phone=person.phone)
        await self._session.execute(_SAVE_PERSON, values | _sealed(self._personal.fields, place, claim))

    def _person(self, row: Row[Any]) -> Person:
        claim = _opened(self._personal.fields, f"person:{row.citizen}", row)
        return Person(
            citizen=row.citizen,
            document_number=claim.document_number,
            name=claim.name,
            phone=claim.phone,
            birth_month=row.birth_month,
            area=row.area,
            version=row.version,
            changed_at=row.changed_at,
        )


class EnrolmentStore:
    """Enrolments under way, and how often each subject tried."""

    def __init__(self, session: AsyncSession, personal: PersonalData) -> None:
        self._session = session
        self._personal = personal

    async def add(self, enrolment: Enrolment, code: str) -> None:
        """Write a new enrolment with the hash of its code."""
        values = {
            "id": enrolment.id,
            "match": enrolment.answer.match,
            "birth_month": enrolment.answer.birth_month,
            "area": enrolment.answer.area,
            "code_hash": self._personal.code_hash(enrolment.id, code),
            "state": enrolment.state.value,
            "tries": enrolment.tries,
            "expires_at": enrolment.expires_at,
        }
        sealed = _sealed(self._personal.fields, f"enrolment:{enrolment.id}", enrolment.claim)
        await self._session.execute(_ADD_ENROLMENT, values | sealed)

    async def end_of(self, enrolment_id: UUID) -> datetime:
        """Return when the code of an enrolment ends; raises EnrolmentNotFound."""
        end: datetime | None = await self._session.scalar(_ENROLMENT_END, {"id": enrolment_id})
        if end is None:
            raise EnrolmentNotFound
        return end

    async def get(self, enrolment_id: UUID, code: str) -> tuple[Enrolment, bool]:
        """Return and lock an enrolment, and whether `code` is the one that belongs to it; raises EnrolmentNotFound."""
        row = (await self._session.execute(_LOCK_ENROLMENT, {"id": enrolment_id})).one_or_none()
        if row is None:
            raise EnrolmentNotFound
        enrolment = Enrolment(
            id=row.id,
            claim=_opened(self._personal.fields, f"enrolment:{row.id}", row),
            answer=RegisterAnswer(match=row.match, area=row.area, birth_month=row.birth_month),
            state=EnrolmentState(row.state),
            tries=row.tries,
            expires_at=row.expires_at,
        )
        return enrolment, self._personal.code_is(row.code_hash, row.id, code)

    async def save(self, enrolment: Enrolment) -> None:
        """Write what a try has changed."""
        values = {"id": enrolment.id, "state": enrolment.state.value, "tries": enrolment.tries}
        await self._session.execute(_SAVE_ENROLMENT, values)

    async def check_limit(self, kind: str, subject: str, limit: Limit, now: datetime) -> None:
        """Refuse, without counting, when the subject has used up its tries; raises TooManyEnrolments."""
        values = {"subject": self._subject(kind, subject), "begin": now - limit.window}
        row = (await self._session.execute(_TRIES, values)).one_or_none()
        if row is not None and row.tries >= limit.most:
            raise _too_many(row.since, limit, now)

    async def count_try(self, kind: str, subject: str, limit: Limit, now: datetime) -> None:
        """Count one try; raises TooManyEnrolments when it is one too many."""
        values = {"subject": self._subject(kind, subject), "begin": now - limit.window, "now": now}
        row = (await self._session.execute(_COUNT_TRY, values)).one()
        if row.tries > limit.most:
            raise _too_many(row.since, limit, now)

    async def forget(self, *, enrolments_before: datetime, tries_before: datetime, limit: int) -> int:
        """Delete what ended long enough ago, at most `limit` rows of each kind; returns the larger of both counts."""
        ended = await self._session.scalars(_FORGET_ENROLMENTS, {"before": enrolments_before, "limit": limit})
        over = await self._session.scalars(_FORGET_TRIES, {"before": tries_before, "limit": limit})
        return max(len(ended.all()), len(over.all()))

    def _subject(self, kind: str, subject: str) -> bytes:
        return self._personal.limits.current(f"{kind}:{subject}")


def _too_many(since: datetime, limit: Limit, now: datetime) -> TooManyEnrolments:
    return TooManyEnrolments(retry_after_s=max(1, int((since + limit.window - now).total_seconds()) + 1))


def _sealed(fields: FieldKeys, place: str, claim: Claim) -> dict[str, bytes]:
    plain = {"document_number": claim.document_number.text, "name": claim.name, "phone": claim.phone}
    return {name: fields.seal(value.encode(), f"{place}:{name}".encode()) for name, value in plain.items()}


def _opened(fields: FieldKeys, place: str, row: Row[Any]) -> Claim:
    def opened(name: str) -> str:
        return fields.open(getattr(row, name), f"{place}:{name}".encode()).decode()

    number = DocumentNumber(opened("document_number"))
    return Claim(document_number=number, name=opened("name"), phone=opened("phone"))
