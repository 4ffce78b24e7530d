"""The journal's five tables and what the running service may do with them.

Invariant: the service's role can neither change, delete nor truncate a row or a block. It may add, and move what is
its own to move (lease, cursors, what is set aside). Erasing a person's words is the owner's alone.
"""

import re
from collections.abc import Callable

from chassis.journal.writing import BODY_MAX_BYTES, NAME_MAX_BYTES

ERASE_AT_ONCE_MAX = 1_000
"""Erasing takes the writers' lock, so the leader waits for it: in chunks."""

_TABLES = (
    # CACHE 1, the default of an identity: with a larger one ids would not be drawn in the order of insertion.
    f"""
    CREATE TABLE journal_row (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        kind "char" NOT NULL CHECK (kind IN ('e', 'a', 'd')),
        topic text NOT NULL CHECK (octet_length(topic) BETWEEN 1 AND {NAME_MAX_BYTES}),
        key text NOT NULL CHECK (octet_length(key) <= {NAME_MAX_BYTES}),
        salt uuid DEFAULT gen_random_uuid(),
        body bytea CHECK (
            body IS NULL OR octet_length(body) <= {BODY_MAX_BYTES} AND convert_from(body, 'UTF8') IS NOT NULL),
        digest bytea CHECK (octet_length(digest) = 32),
        CONSTRAINT journal_row_whole_or_erased CHECK (
            (body IS NULL) = (digest IS NOT NULL) AND (salt IS NULL) = (digest IS NOT NULL))
    )
    """,
    """
    CREATE TABLE journal_block (
        n bigint PRIMARY KEY CHECK (n > 0),
        term bigint NOT NULL,
        beat bigint NOT NULL,
        first bigint NOT NULL,
        last bigint NOT NULL CHECK (last >= first - 1),
        from_id bigint NOT NULL,
        to_id bigint NOT NULL CHECK (to_id >= from_id),
        as_of bigint NOT NULL,
        events_root bytea NOT NULL,
        records_root bytea NOT NULL,
        prev bytea NOT NULL,
        alg text NOT NULL,
        kid text NOT NULL,
        next_kid text,
        hash bytea NOT NULL,
        sig bytea NOT NULL
    )
    """,
    """
    CREATE TABLE journal_lease (
        one boolean PRIMARY KEY DEFAULT true CHECK (one),
        term bigint NOT NULL DEFAULT 0,
        beat bigint NOT NULL DEFAULT 0,
        holder text,
        backend integer
    ) WITH (fillfactor = 50)
    """,
    "INSERT INTO journal_lease DEFAULT VALUES",
    """
    CREATE TABLE journal_cursor (
        source text PRIMARY KEY,
        block bigint NOT NULL DEFAULT 0,
        position bigint NOT NULL DEFAULT 0,
        beat bigint NOT NULL DEFAULT 0,
        as_of bigint NOT NULL DEFAULT 0,
        head bytea NOT NULL DEFAULT decode(repeat('00', 32), 'hex'),
        kid text,
        next_kid text
    ) WITH (fillfactor = 50)
    """,
    """
    CREATE TABLE journal_set_aside (
        source text NOT NULL,
        position bigint NOT NULL,
        topic text NOT NULL,
        key text NOT NULL,
        body bytea NOT NULL,
        error text NOT NULL,
        tries integer NOT NULL DEFAULT 0,
        due timestamptz,
        PRIMARY KEY (source, position)
    )
    """,
    "CREATE INDEX journal_set_aside_by_key ON journal_set_aside (source, key, position)",
)

_ERASE = f"""
CREATE FUNCTION journal_erase(erased bigint[]) RETURNS integer LANGUAGE plpgsql AS $erase$
DECLARE
    done integer;
BEGIN
    IF cardinality(erased) > {ERASE_AT_ONCE_MAX} THEN
        RAISE EXCEPTION 'Erase at most {ERASE_AT_ONCE_MAX} rows in one transaction: the journal waits for it.';
    END IF;
    UPDATE journal_row SET digest = sha256(uuid_send(salt) || body), salt = NULL, body = NULL
    WHERE id = ANY (erased) AND body IS NOT NULL AND id <= (SELECT max(to_id) FROM journal_block);
    GET DIAGNOSTICS done = ROW_COUNT;
    RETURN done;
END
$erase$
"""

_GRANTS = (
    "GRANT SELECT, INSERT (kind, topic, key, body) ON journal_row TO {role}",
    "GRANT SELECT, INSERT ON journal_block TO {role}",
    "GRANT UPDATE ON SEQUENCE journal_row_id_seq TO {role}",
    "GRANT SELECT, UPDATE (term, beat, holder, backend) ON journal_lease TO {role}",
    "GRANT SELECT, INSERT, UPDATE ON journal_cursor TO {role}",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON journal_set_aside TO {role}",
    "REVOKE ALL ON FUNCTION journal_erase(bigint[]) FROM PUBLIC",
)


def create_journal(op_execute: Callable[[str], object], app_role: str) -> None:
    """Create the journal in a migration: `create_journal(op.execute, "card_app")`, run as the owner.

    The erasing function is `journal_erase(ids bigint[])`: it keeps a digest, so the chain still verifies, and returns
    how many sealed rows it erased. Only the owner may call it.
    """
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", app_role):
        raise ValueError(f"{app_role!r} is not the name of a database role.")
    for statement in (*_TABLES, _ERASE, *(grant.format(role=app_role) for grant in _GRANTS)):
        op_execute(statement)
