"""What the database itself refuses, as the running service and even as the owner of the tables."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import uuid4

import asyncpg
import pytest

from payment_svc.ledger.domain import Entry, Posting, Step, UnbalancedPosting, next_call, transfer
from payment_svc.ledger.store import LedgerStore

NOW = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)
INSERT_POSTING = "INSERT INTO posting (posting, subject, step, posted_at) VALUES ($1, $2, 'hold', now())"
INSERT_ENTRIES = "INSERT INTO entry (posting, account, amount_fen) SELECT $1, * FROM unnest($2::uuid[], $3::bigint[])"


class Books:
    """A ledger with one citizen and one venue, as the service's role sees it."""

    def __init__(self, connection, owner):
        self.connection, self.owner, self.ledger = connection, owner, LedgerStore(connection)
        self.citizen = self.venue = None

    async def open(self):
        citizen = uuid4()
        await self.ledger.open_for_citizens([citizen], uuid4, NOW)
        self.citizen = await self.ledger.pair_of_citizen(citizen)
        self.venue = await self.ledger.pair_of_venue(uuid4(), uuid4, NOW)
        return self

    async def move(self, step, source, target, amount_fen, subject=None):
        posting = transfer(
            uuid4(), subject=subject or uuid4(), step=step, source=source, target=target, amount_fen=amount_fen
        )
        await self.ledger.post(posting, NOW)

    async def hold(self, amount_fen, subject=None):
        await self.move(Step.HOLD, self.citizen.settled, self.citizen.in_flight, amount_fen, subject)

    async def posting(self):
        posting = uuid4()
        await self.connection.execute(INSERT_POSTING, posting, uuid4())
        return posting

    async def balance(self, account):
        return await self.connection.fetchval("SELECT balance_fen FROM account WHERE account = $1", account)


@pytest.fixture
async def books(databases) -> AsyncIterator[Books]:
    async with databases.fresh("payment") as database:
        connection, owner = await asyncpg.connect(database.app_url), await asyncpg.connect(database.owner_url)
        try:
            yield await Books(connection, owner).open()
        finally:
            await connection.close()
            await owner.close()


async def test_entries_that_do_not_sum_to_0_are_refused_by_the_database(books):
    accounts = [books.citizen.settled, books.citizen.in_flight]
    for amounts in ([-100, 99], [100, 100], [-100, 101]):
        with pytest.raises(asyncpg.CheckViolationError) as refused:
            await books.connection.execute(INSERT_ENTRIES, await books.posting(), accounts, amounts)
        assert refused.value.constraint_name == "entry_postings_sum_to_0"
    assert await books.connection.fetchval("SELECT count(*) FROM entry") == 0
    assert await books.balance(books.citizen.settled) == 0


async def test_two_postings_that_balance_only_together_are_refused(books):
    first, second = await books.posting(), await books.posting()
    with pytest.raises(asyncpg.CheckViolationError):
        await books.connection.execute(
            "INSERT INTO entry (posting, account, amount_fen) VALUES ($1, $3, -5), ($2, $4, 5)",
            first,
            second,
            books.citizen.settled,
            books.citizen.in_flight,
        )


async def test_a_balance_moves_with_its_entries_and_cannot_be_written(books):
    await books.hold(300)
    assert await books.balance(books.citizen.settled) == -300
    assert await books.balance(books.citizen.in_flight) == 300
    for written in ("UPDATE account SET balance_fen = 0", "UPDATE account SET owner = gen_random_uuid()"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await books.connection.execute(written)
    totals = await books.ledger.totals()
    assert (totals.sum_fen, totals.balances_sum_fen, totals.entries, totals.held_fen) == (0, 0, 2, 300)
    assert (totals.postings_off_balance, totals.accounts_adrift) == (0, 0)


async def test_a_figure_that_somebody_forced_is_found_by_the_invariants(books):
    await books.hold(300)
    await books.owner.execute(
        "UPDATE account SET balance_fen = balance_fen + 1 WHERE account = $1", books.citizen.settled
    )
    await books.posting()
    totals = await books.ledger.totals()
    assert (totals.balances_sum_fen, totals.accounts_adrift, totals.postings_off_balance) == (1, 1, 1)


async def test_entries_are_only_ever_added_even_by_the_owner(books):
    await books.hold(300)
    for change in ("UPDATE entry SET amount_fen = amount_fen * 2", "DELETE FROM entry", "TRUNCATE entry"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await books.connection.execute(change)
        with pytest.raises(asyncpg.CheckViolationError):
            await books.owner.execute(change)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE payment SET amount_fen = 1",
        "UPDATE payment SET citizen = gen_random_uuid()",
        "DELETE FROM payment",
        "UPDATE refund SET amount_fen = 1",
        "DELETE FROM refund",
        "DELETE FROM tombstone",
        "DELETE FROM posting",
        "UPDATE spending_limit SET per_day_fen = 1",
    ],
)
async def test_what_was_agreed_cannot_be_changed_by_the_service(books, change):
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await books.connection.execute(change)


async def test_no_more_is_released_than_was_held(books):
    await books.hold(300)
    with pytest.raises(asyncpg.CheckViolationError):
        await books.move(Step.SETTLE, books.citizen.in_flight, books.venue.settled, 301)


async def test_a_step_of_one_payment_is_posted_once(books):
    payment = uuid4()
    await books.hold(300, payment)
    with pytest.raises(asyncpg.UniqueViolationError):
        await books.hold(300, payment)
    assert await books.balance(books.citizen.in_flight) == 300


async def test_the_days_limit_counts_per_day(books):
    citizen, today, tomorrow = uuid4(), NOW.date(), NOW.date().replace(day=3)
    assert await books.ledger.spend(citizen, today, 5_000_000)
    assert not await books.ledger.spend(citizen, today, 1)
    assert not await books.ledger.spend(uuid4(), today, 5_000_001)
    await books.ledger.give_back(citizen, today, 1)
    assert await books.ledger.spend(citizen, today, 1)
    assert await books.ledger.spend(citizen, tomorrow, 4_999_999)
    await books.ledger.give_back(citizen, today, 5_000_000)
    assert not await books.ledger.spend(citizen, tomorrow, 2)


def test_a_posting_that_does_not_sum_to_0_cannot_be_thought():
    with pytest.raises(UnbalancedPosting):
        Posting(posting=uuid4(), subject=uuid4(), step=Step.HOLD, entries=(Entry(account=uuid4(), amount_fen=1),))


def test_a_silent_custodian_is_called_less_often_and_at_least_once_a_minute():
    pauses = [next_call(tries).total_seconds() for tries in range(12)]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (0.5, 60.0)
