"""The first tables of scenario-svc: venues, what it knows of cards and clients, uses, and the journal."""

from alembic import op

from chassis.idempotency import CREATE_TABLE as CREATE_IDEMPOTENCY
from chassis.journal.tables import create_journal
from chassis.migrations import app_role

revision = "0001"
down_revision = None

TABLES = (
    """
    CREATE TABLE venue (
        id uuid PRIMARY KEY,
        name_zh text NOT NULL,
        name_en text NOT NULL,
        area text NOT NULL,
        scenarios text[] NOT NULL,
        opened_at timestamptz NOT NULL)
    """,
    "CREATE INDEX ix_venue_opened_at ON venue (opened_at DESC, id DESC)",
    """
    CREATE TABLE terminal (
        client text PRIMARY KEY,
        venue uuid NOT NULL REFERENCES venue (id),
        placed_at timestamptz NOT NULL)
    """,
    # What this service knows of clients, followed from identity-svc.
    """
    CREATE TABLE known_client (
        client text PRIMARY KEY,
        kind text NOT NULL,
        status text NOT NULL,
        version integer NOT NULL)
    """,
    # What this service knows of cards, followed from card-svc.
    """
    CREATE TABLE known_card (
        card uuid PRIMARY KEY,
        handle uuid NOT NULL UNIQUE,
        citizen uuid NOT NULL,
        state text NOT NULL,
        level smallint NOT NULL,
        version integer NOT NULL)
    """,
    """
    CREATE TABLE card_use (
        id uuid PRIMARY KEY,
        citizen uuid NOT NULL,
        card uuid NOT NULL,
        venue uuid NOT NULL REFERENCES venue (id),
        terminal text NOT NULL,
        scenario text NOT NULL,
        amount_fen bigint CHECK (amount_fen > 0),
        refunded_fen bigint NOT NULL DEFAULT 0 CHECK (refunded_fen >= 0),
        state text NOT NULL CHECK (state IN ('open', 'accepted', 'refused', 'cancelled')),
        refusal text,
        version integer NOT NULL,
        created_at timestamptz NOT NULL,
        due timestamptz,
        CHECK (refunded_fen <= coalesce(amount_fen, 0)))
    """,
    "CREATE INDEX ix_card_use_citizen ON card_use (citizen, created_at DESC, id DESC)",
    "CREATE INDEX ix_card_use_due ON card_use (due) WHERE state = 'open'",
    # The primary key is what lets one code be redeemed once.
    """
    CREATE TABLE redemption (
        code_id bytea PRIMARY KEY CHECK (octet_length(code_id) = 16),
        card_use uuid NOT NULL REFERENCES card_use (id),
        redeemed_at timestamptz NOT NULL)
    """,
    """
    CREATE TABLE refund (
        id uuid PRIMARY KEY,
        card_use uuid NOT NULL REFERENCES card_use (id),
        amount_fen bigint NOT NULL CHECK (amount_fen > 0),
        state text NOT NULL CHECK (state IN ('open', 'confirmed', 'refused')),
        created_at timestamptz NOT NULL,
        due timestamptz NOT NULL)
    """,
    "CREATE INDEX ix_refund_card_use ON refund (card_use)",
    "CREATE INDEX ix_refund_due ON refund (due) WHERE state = 'open'",
)


def upgrade() -> None:
    """Create everything; the service's role may add and change, and delete nothing."""
    create_journal(op.execute, app_role())
    op.execute(CREATE_IDEMPOTENCY)
    for statement in TABLES:
        op.execute(statement)
    op.execute(f"GRANT SELECT, INSERT, UPDATE ON terminal, known_client, known_card, card_use, refund TO {app_role()}")
    op.execute(f"GRANT SELECT, INSERT ON venue, redemption, idempotency TO {app_role()}")
