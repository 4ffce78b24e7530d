"""The first tables of card-svc: cards with their history, holders, batches, and the journal."""

from alembic import op

from chassis.idempotency import CREATE_TABLE as CREATE_IDEMPOTENCY
from chassis.journal.tables import create_journal
from chassis.migrations import app_role

revision = "0001"
down_revision = None

TABLES = (
    # What card-svc knows of people: followed from identity-svc.
    """
    CREATE TABLE holder (
        citizen uuid PRIMARY KEY,
        area text NOT NULL,
        version integer NOT NULL)
    """,
    """
    CREATE TABLE card (
        id uuid PRIMARY KEY,
        handle uuid NOT NULL UNIQUE,
        citizen uuid NOT NULL,
        state text NOT NULL,
        level smallint NOT NULL CHECK (level IN (1, 2)),
        area text NOT NULL,
        version integer NOT NULL,
        changed_at timestamptz NOT NULL)
    """,
    # One living card per citizen; the ended ones stay for disputes.
    """
    CREATE UNIQUE INDEX uq_card_living ON card (citizen) WHERE state NOT IN ('cancelled', 'expired')
    """,
    "CREATE INDEX ix_card_applied ON card (changed_at, id) WHERE state = 'applied'",
    """
    CREATE TABLE card_history (
        card uuid NOT NULL REFERENCES card (id),
        version integer NOT NULL,
        state text NOT NULL,
        since timestamptz NOT NULL,
        reason text,
        PRIMARY KEY (card, version))
    """,
    # 签发号: the number by which one channel, and no other, knows a card.
    """
    CREATE TABLE sign_number (
        sign uuid PRIMARY KEY,
        client text NOT NULL,
        card uuid NOT NULL REFERENCES card (id),
        UNIQUE (client, card))
    """,
    """
    CREATE TABLE production_batch (
        id uuid PRIMARY KEY,
        state text NOT NULL CHECK (state IN ('waiting', 'sent', 'done')),
        cards integer NOT NULL,
        tries integer NOT NULL DEFAULT 0,
        due timestamptz NOT NULL,
        created_at timestamptz NOT NULL)
    """,
    "CREATE INDEX ix_production_batch_due ON production_batch (due) WHERE state <> 'done'",
    """
    CREATE TABLE production_batch_card (
        batch uuid NOT NULL REFERENCES production_batch (id),
        card uuid NOT NULL REFERENCES card (id),
        PRIMARY KEY (batch, card))
    """,
)


def upgrade() -> None:
    """Create everything; the service's role may add and change, and delete nothing."""
    create_journal(op.execute, app_role())
    op.execute(CREATE_IDEMPOTENCY)
    for statement in TABLES:
        op.execute(statement)
    op.execute(f"GRANT SELECT, INSERT, UPDATE ON holder, card, production_batch TO {app_role()}")
    op.execute(f"GRANT SELECT, INSERT ON card_history, sign_number, production_batch_card, idempotency TO {app_role()}")
