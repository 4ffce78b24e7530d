"""The first tables of payment-svc: accounts and entries, payments and refunds, and the journal.

What may never be wrong is held by the database itself: entries of a posting sum to 0, balances are moved by entries
alone, entries are only ever added, nothing is released that was not held, and refunds stay below what was paid.
"""

from alembic import op

from chassis.idempotency import CREATE_TABLE as CREATE_IDEMPOTENCY
from chassis.journal.tables import create_journal
from chassis.migrations import app_role

revision = "0001"
down_revision = None

LEDGER = (
    # Each owner has two accounts: what is settled, and what is in flight (held, or being given back).
    """
    CREATE TABLE account (
        account uuid PRIMARY KEY,
        owner_kind text NOT NULL CHECK (owner_kind IN ('citizen', 'venue')),
        owner uuid NOT NULL,
        purpose text NOT NULL CHECK (purpose IN ('settled', 'in_flight')),
        custodian text NOT NULL CHECK (custodian IN ('bank', 'us', 'tax_authority', 'medical_insurer', 'treasury')),
        balance_fen bigint NOT NULL DEFAULT 0,
        state text NOT NULL CHECK (state IN ('opening', 'open')),
        tries integer NOT NULL DEFAULT 0,
        due timestamptz,
        opened_at timestamptz NOT NULL,
        UNIQUE (owner, owner_kind, custodian, purpose),
        CONSTRAINT account_releases_only_what_it_held CHECK (purpose = 'settled' OR balance_fen >= 0),
        CONSTRAINT account_due_while_opening CHECK ((state = 'opening') = (due IS NOT NULL)))
    """,
    "CREATE INDEX ix_account_due ON account (due) WHERE due IS NOT NULL",
    """
    CREATE TABLE posting (
        posting uuid PRIMARY KEY,
        subject uuid NOT NULL,
        step text NOT NULL CHECK (step IN ('hold', 'settle', 'release')),
        posted_at timestamptz NOT NULL,
        UNIQUE (subject, step))
    """,
    """
    CREATE TABLE entry (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        posting uuid NOT NULL REFERENCES posting (posting),
        account uuid NOT NULL REFERENCES account (account),
        amount_fen bigint NOT NULL CHECK (amount_fen <> 0))
    """,
    "CREATE INDEX ix_entry_posting ON entry (posting)",
    "CREATE INDEX ix_entry_account ON entry (account)",
    # Runs as the owner, so that the service itself has no right to write a balance. Once a statement, not a row.
    """
    CREATE FUNCTION move_balances() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = public, pg_temp AS $$
    BEGIN
        IF EXISTS (SELECT FROM added GROUP BY posting HAVING sum(amount_fen) <> 0) THEN
            RAISE EXCEPTION 'the entries of a posting do not sum to 0'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'entry_postings_sum_to_0';
        END IF;
        UPDATE account SET balance_fen = balance_fen + moved.amount_fen
        FROM (SELECT account, sum(amount_fen) AS amount_fen FROM added GROUP BY account) AS moved
        WHERE account.account = moved.account;
        RETURN NULL;
    END
    $$
    """,
    """
    CREATE TRIGGER entry_moves_balances AFTER INSERT ON entry
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION move_balances()
    """,
    """
    CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION '% is only ever added to', TG_TABLE_NAME USING ERRCODE = 'check_violation';
    END
    $$
    """,
    """
    CREATE TRIGGER entry_only_added BEFORE UPDATE OR DELETE OR TRUNCATE ON entry
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
    """,
    # One row a citizen: the business day of the last charge and what was charged on it.
    """
    CREATE TABLE spending (
        citizen uuid PRIMARY KEY,
        day date NOT NULL,
        spent_fen bigint NOT NULL CHECK (spent_fen >= 0))
    """,
    "CREATE TABLE spending_limit (custodian text PRIMARY KEY, per_day_fen bigint NOT NULL CHECK (per_day_fen > 0))",
    # 50,000 yuan a day and citizen: the limit of this platform; the bank has its own.
    "INSERT INTO spending_limit VALUES ('bank', 5000000)",
)

CHARGES = (
    """
    CREATE TABLE payment (
        payment uuid PRIMARY KEY,
        charge uuid NOT NULL UNIQUE,
        citizen uuid NOT NULL,
        venue uuid NOT NULL,
        terminal text NOT NULL,
        scenario text NOT NULL,
        amount_fen bigint NOT NULL CHECK (amount_fen > 0),
        refunded_fen bigint NOT NULL DEFAULT 0 CHECK (refunded_fen >= 0),
        refunding_fen bigint NOT NULL DEFAULT 0 CHECK (refunding_fen >= 0),
        state text NOT NULL CHECK (state IN ('held', 'instructed', 'confirmed', 'refused', 'unknown', 'voided')),
        refusal text,
        void_wanted boolean NOT NULL DEFAULT false,
        tries integer NOT NULL DEFAULT 0,
        told_at timestamptz,
        due timestamptz,
        version integer NOT NULL,
        created_at timestamptz NOT NULL,
        changed_at timestamptz NOT NULL,
        CONSTRAINT payment_refunds_bounded CHECK (refunded_fen + refunding_fen <= amount_fen),
        CONSTRAINT payment_refunds_only_confirmed CHECK (refunded_fen + refunding_fen = 0 OR state = 'confirmed'),
        CONSTRAINT payment_refusal_when_refused CHECK ((state = 'refused') = (refusal IS NOT NULL)),
        CONSTRAINT payment_due_while_open CHECK ((state IN ('held', 'instructed', 'unknown')) = (due IS NOT NULL)))
    """,
    "CREATE INDEX ix_payment_due ON payment (due) WHERE due IS NOT NULL",
    "CREATE INDEX ix_payment_citizen ON payment (citizen, created_at DESC, payment DESC)",
    # A charge that was taken back before it arrived: the delayed original is refused.
    "CREATE TABLE tombstone (charge uuid PRIMARY KEY, laid_at timestamptz NOT NULL)",
    """
    CREATE TABLE refund (
        refund uuid PRIMARY KEY,
        instruction uuid NOT NULL UNIQUE,
        payment uuid NOT NULL REFERENCES payment (payment),
        amount_fen bigint NOT NULL CHECK (amount_fen > 0),
        state text NOT NULL CHECK (state IN ('pending', 'confirmed', 'refused', 'unknown')),
        refusal text,
        tries integer NOT NULL DEFAULT 0,
        due timestamptz,
        created_at timestamptz NOT NULL,
        changed_at timestamptz NOT NULL,
        CONSTRAINT refund_refusal_when_refused CHECK ((state = 'refused') = (refusal IS NOT NULL)),
        CONSTRAINT refund_due_while_open CHECK ((state IN ('pending', 'unknown')) = (due IS NOT NULL)))
    """,
    "CREATE INDEX ix_refund_payment ON refund (payment)",
    "CREATE INDEX ix_refund_due ON refund (due) WHERE due IS NOT NULL",
)

RIGHTS = (
    "REVOKE ALL ON FUNCTION move_balances() FROM PUBLIC",
    "GRANT SELECT, INSERT (account, owner_kind, owner, purpose, custodian, state, due, opened_at) ON account TO {role}",
    "GRANT UPDATE (state, tries, due) ON account TO {role}",
    "GRANT SELECT, INSERT ON posting, entry, tombstone, idempotency TO {role}",
    "GRANT SELECT ON spending_limit TO {role}",
    "GRANT SELECT, INSERT, UPDATE ON spending TO {role}",
    "GRANT SELECT, INSERT ON payment, refund TO {role}",
    "GRANT UPDATE (refunded_fen, refunding_fen, state, refusal, void_wanted, tries, told_at, due, version, changed_at)"
    " ON payment TO {role}",
    "GRANT UPDATE (state, refusal, tries, due, changed_at) ON refund TO {role}",
)


def upgrade() -> None:
    """Create everything; the service's role may add entries and never change one."""
    create_journal(op.execute, app_role())
    op.execute(CREATE_IDEMPOTENCY)
    for statement in (*LEDGER, *CHARGES):
        op.execute(statement)
    for right in RIGHTS:
        op.execute(right.format(role=app_role()))
