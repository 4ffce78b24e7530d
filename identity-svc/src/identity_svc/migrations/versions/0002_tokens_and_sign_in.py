"""Tokens and sign-in: revocations, codes, policies, tokens for outside audiences; sign-ins, sessions, counters."""

from alembic import op

from chassis.migrations import app_role

revision = "0002"
down_revision = "0001"

_TABLES = (
    # One row, locked by whoever revokes until it has committed: so numbers become visible in their own order.
    "CREATE TABLE revocation_number (one boolean PRIMARY KEY DEFAULT true CHECK (one), n bigint NOT NULL)",
    "INSERT INTO revocation_number (n) VALUES (0)",
    """
    CREATE TABLE revocation (
        id text PRIMARY KEY CHECK (octet_length(id) BETWEEN 1 AND 256),
        not_before_ms bigint NOT NULL,
        n bigint NOT NULL UNIQUE)
    """,
    # Of an outside audience's token only we know the person: the token itself does not carry it.
    """
    CREATE TABLE outside_token (
        jti text PRIMARY KEY,
        citizen uuid NOT NULL,
        expires_at timestamptz NOT NULL)
    """,
    "CREATE INDEX outside_token_by_expiry ON outside_token (expires_at)",
    """
    CREATE TABLE pairwise_subject (
        citizen uuid NOT NULL,
        sector text NOT NULL,
        subject text NOT NULL UNIQUE,
        PRIMARY KEY (citizen, sector))
    """,
    """
    CREATE TABLE authorization_code (
        code_hash bytea PRIMARY KEY,
        client_id text NOT NULL,
        redirect_uri text NOT NULL,
        challenge text NOT NULL,
        nonce text,
        scopes text[] NOT NULL,
        citizen uuid NOT NULL,
        acr text NOT NULL,
        amr text[] NOT NULL,
        auth_time timestamptz NOT NULL,
        created_at timestamptz NOT NULL,
        spent boolean NOT NULL DEFAULT false,
        token_jti text,
        token_issued_ms bigint)
    """,
    "CREATE INDEX authorization_code_by_age ON authorization_code (created_at)",
    """
    CREATE TABLE exchange_policy (
        id uuid PRIMARY KEY,
        client_id text NOT NULL,
        audience text NOT NULL,
        scopes text[] NOT NULL,
        max_lifetime_s integer NOT NULL,
        min_acr text NOT NULL,
        subject_clients text[] NOT NULL,
        changed_at timestamptz NOT NULL,
        UNIQUE (client_id, audience))
    """,
    """
    CREATE TABLE sign_in (
        id uuid PRIMARY KEY,
        cookie_hash bytea NOT NULL,
        request jsonb NOT NULL,
        step text NOT NULL,
        citizen uuid,
        verified_at timestamptz,
        acr text,
        amr text[] NOT NULL DEFAULT '{}',
        person_hash bytea,
        code_hash bytea,
        code_until timestamptz,
        tries integer NOT NULL DEFAULT 0,
        face_url text,
        expires_at timestamptz NOT NULL)
    """,
    "CREATE UNIQUE INDEX sign_in_by_cookie ON sign_in (cookie_hash)",
    "CREATE INDEX sign_in_by_expiry ON sign_in (expires_at)",
    """
    CREATE TABLE sso_session (
        id_hash bytea PRIMARY KEY,
        citizen uuid NOT NULL,
        acr text NOT NULL,
        amr text[] NOT NULL,
        auth_time timestamptz NOT NULL,
        created_at timestamptz NOT NULL,
        used_at timestamptz NOT NULL)
    """,
    "CREATE INDEX sso_session_by_age ON sso_session (created_at)",
    """
    CREATE TABLE sign_in_count (
        subject bytea NOT NULL,
        window_start timestamptz NOT NULL,
        count integer NOT NULL,
        PRIMARY KEY (subject, window_start))
    """,
    "CREATE INDEX sign_in_count_by_age ON sign_in_count (window_start)",
)

_MAY_CHANGE = (
    "outside_token, pairwise_subject, authorization_code, exchange_policy, sign_in, sso_session, sign_in_count"
)


def upgrade() -> None:
    """Create the tables, with the rights of the running service."""
    for statement in _TABLES:
        op.execute(statement)
    role = app_role()
    op.execute(f"GRANT SELECT, UPDATE ON revocation_number TO {role}")
    # A revocation can be sharpened, never taken back.
    op.execute(f"GRANT SELECT, INSERT, UPDATE ON revocation TO {role}")
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {_MAY_CHANGE} TO {role}")
