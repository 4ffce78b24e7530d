"""Whatever is asked, whatever the policy says: a new token is never more than the old one (property)."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from chassis.testing.clock import FixedClock
from identity_svc.clients.domain import Client, ClientKind, ClientStatus
from identity_svc.tokens.domain.access_token import AccessToken, Ancestor
from identity_svc.tokens.domain.assurance import OF_PERSONS, reaches
from identity_svc.tokens.domain.exchange import ExchangePolicy, narrow
from identity_svc.tokens.domain.refusals import OAuthRefusal

OWN, TAX, POOL = "https://card.example", "https://tax.example/api", "https://pool.example/api"
NOW_S = 1_700_000_000
audiences = st.sampled_from([OWN, TAX, POOL])
scopes = st.frozensets(st.sampled_from(["openid", "card", "card.code", "payments"]))
acrs = st.sampled_from(["urn:onecard:acr:client", *OF_PERSONS, "unknown"])
names = st.sampled_from(["tax", "pool", "channel"])
ancestors = st.lists(st.builds(Ancestor, st.uuids().map(str), st.integers(0, NOW_S * 1000)), max_size=9, unique=True)

subjects = st.builds(
    AccessToken,
    audience=audiences,
    subject=st.just("s"),
    citizen=st.one_of(st.none(), st.just(UUID(int=7))),
    client_id=names,
    kind=st.just("platform"),
    scopes=scopes,
    acr=acrs,
    amr=st.just(()),
    auth_time=st.just(NOW_S),
    jti=st.just("parent"),
    issued_ms=st.just(NOW_S * 1000),
    expires_s=st.integers(NOW_S - 5, NOW_S + 600),
    lineage=ancestors.map(tuple),
    act=st.sampled_from([None, {"sub": "service", "client_id": "service"}]),
)
policies = st.builds(
    ExchangePolicy,
    id=st.just(UUID(int=1)),
    client_id=names,
    audience=audiences,
    scopes=scopes,
    max_lifetime_s=st.integers(10, 10_000),
    min_acr=acrs,
    subject_clients=st.frozensets(names),
)


def client(client_id: str) -> Client:
    """Return a platform that owns the audience of its name."""
    return Client(
        id=UUID(int=2),
        client_id=client_id,
        name=client_id,
        kind=ClientKind.PLATFORM,
        redirect_uris=(),
        scopes=(),
        sector=client_id,
        audiences=(f"https://{client_id}.example/api",),
        status=ClientStatus.ACTIVE,
        version=1,
        created_at=FixedClock()(),
    )


@given(subjects, policies, names, audiences, st.one_of(st.none(), scopes))
def test_scope_audience_lifetime_and_assurance_only_ever_narrow(
    subject: AccessToken, policy: ExchangePolicy, requester: str, audience: str, asked: frozenset[str] | None
) -> None:
    try:
        narrowed = narrow(
            subject,
            None,
            requester=client(requester),
            audience=audience,
            scopes=asked,
            policy=policy,
            own_audience=OWN,
            now_s=NOW_S,
        )
    except OAuthRefusal:
        return
    assert narrowed.scopes
    assert narrowed.scopes <= subject.scopes & policy.scopes
    assert asked is None or narrowed.scopes == asked
    assert (narrowed.audience, requester) == (policy.audience, policy.client_id) == (audience, requester)
    assert NOW_S < narrowed.expires_s <= min(subject.expires_s, NOW_S + policy.max_lifetime_s)
    assert narrowed.expires_s <= NOW_S + (600 if audience == OWN else 300)
    assert narrowed.acr == subject.acr
    assert reaches(narrowed.acr, policy.min_acr)
    assert narrowed.lineage == (Ancestor("parent", NOW_S * 1000), *subject.lineage)
    assert len(narrowed.lineage) <= 8
    assert narrowed.act == subject.act
    assert (
        subject.client_id == requester
        or subject.audience == f"https://{requester}.example/api"
        or subject.client_id in policy.subject_clients
    )


def test_the_property_is_not_empty_some_exchange_is_allowed() -> None:
    subject = AccessToken(
        audience=OWN,
        subject="s",
        citizen=UUID(int=7),
        client_id="tax",
        kind="platform",
        scopes=frozenset({"card", "openid"}),
        acr=OF_PERSONS[0],
        amr=(),
        auth_time=NOW_S,
        jti="parent",
        issued_ms=NOW_S * 1000,
        expires_s=NOW_S + 600,
    )
    policy = ExchangePolicy(
        id=UUID(int=1),
        client_id="tax",
        audience=TAX,
        scopes=frozenset({"card"}),
        max_lifetime_s=60,
        min_acr=OF_PERSONS[0],
        subject_clients=frozenset(),
    )
    narrowed = narrow(
        subject,
        None,
        requester=client("tax"),
        audience=TAX,
        scopes=None,
        policy=policy,
        own_audience=OWN,
        now_s=NOW_S,
    )
    assert (narrowed.scopes, narrowed.expires_s) == (frozenset({"card"}), NOW_S + 60)
