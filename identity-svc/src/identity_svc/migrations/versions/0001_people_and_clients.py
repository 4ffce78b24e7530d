"""The first tables of identity-svc: people, enrolments, text messages, clients, and the journal."""

from alembic import op

from chassis.idempotency import CREATE_TABLE as CREATE_IDEMPOTENCY
from chassis.journal.tables import create_journal
from chassis.migrations import app_role

revision = "0001"
down_revision = None

TABLES = (
    # One row for each document number; number, name and phone are sealed with the row as associated data.
    """
    CREATE TABLE person (
        citizen uuid PRIMARY KEY,
        document_hash bytea NOT NULL UNIQUE,
        document_number bytea NOT NULL,
        name bytea NOT NULL,
        phone bytea NOT NULL,
        birth_month text NOT NULL,
        area text NOT NULL,
        version integer NOT NULL CHECK (version > 0),
        changed_at timestamptz NOT NULL)
    """,
    # A row for every attempt, matching or not; forgotten a day after its code has ended.
    """
    CREATE TABLE enrolment (
        id uuid PRIMARY KEY,
        document_number bytea NOT NULL,
        name bytea NOT NULL,
        phone bytea NOT NULL,
        match boolean NOT NULL,
        birth_month text NOT NULL,
        area text NOT NULL,
        code_hash bytea NOT NULL,
        state text NOT NULL CHECK (state IN ('pending', 'completed')),
        tries smallint NOT NULL CHECK (tries BETWEEN 0 AND 5),
        expires_at timestamptz NOT NULL)
    """,
    "CREATE INDEX ix_enrolment_end ON enrolment (expires_at)",
    # How often a number, a phone or a client has tried, under a keyed hash; forgotten when the window is over.
    """
    CREATE TABLE enrolment_tries (
        subject bytea PRIMARY KEY,
        since timestamptz NOT NULL,
        tries integer NOT NULL) WITH (fillfactor = 70)
    """,
    "CREATE INDEX ix_enrolment_tries_since ON enrolment_tries (since)",
    # Empty when all is sent: a row lives from the commit that needs the message until the provider has it.
    """
    CREATE TABLE sms_outbox (
        id uuid PRIMARY KEY,
        phone bytea NOT NULL,
        words bytea NOT NULL,
        withheld boolean NOT NULL,
        tries integer NOT NULL DEFAULT 0,
        due_at timestamptz NOT NULL,
        worthless_at timestamptz NOT NULL)
    """,
    "CREATE INDEX ix_sms_outbox_due ON sms_outbox (due_at, id)",
    # Never deleted: tokens and journals name clients for years.
    """
    CREATE TABLE client (
        id uuid PRIMARY KEY,
        client_id text NOT NULL UNIQUE,
        secret_hash bytea NOT NULL,
        name text NOT NULL,
        kind text NOT NULL CHECK (kind IN ('channel', 'platform', 'terminal', 'service', 'operator')),
        redirect_uris text[] NOT NULL,
        scopes text[] NOT NULL,
        sector text NOT NULL,
        audiences text[] NOT NULL,
        status text NOT NULL CHECK (status IN ('active', 'suspended')),
        version integer NOT NULL CHECK (version > 0),
        created_at timestamptz NOT NULL,
        sandbox boolean NOT NULL)
    """,
    "CREATE INDEX ix_client_newest ON client (created_at DESC, id DESC)",
    "CREATE INDEX ix_client_audiences ON client USING gin (audiences)",
)


def upgrade() -> None:
    """Create everything; the service's role deletes only what is declared to be forgotten."""
    create_journal(op.execute, app_role())
    op.execute(CREATE_IDEMPOTENCY)
    for statement in TABLES:
        op.execute(statement)
    op.execute(f"GRANT SELECT, INSERT ON idempotency TO {app_role()}")
    op.execute(f"GRANT SELECT, INSERT, UPDATE ON person, client TO {app_role()}")
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON enrolment, enrolment_tries, sms_outbox TO {app_role()}")
