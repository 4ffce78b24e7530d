"""What every token use case works with: the signer, the registered clients, the key of pairwise subjects."""

from dataclasses import dataclass, field
from uuid import UUID

from chassis.work import Fact, Work
from identity_svc.clients.domain import ClientNotFound
from identity_svc.clients.store import ClientSecrets, ClientStore
from identity_svc.tokens.adapters import TokenSmith
from identity_svc.tokens.domain.access_token import AccessToken, pairwise_subject
from identity_svc.tokens.store import RevocationStore, SubjectStore

REVOKED = "identity.token.revoked.v1"


@dataclass(frozen=True, kw_only=True)
class TokenDesk:
    """Where tokens are made and looked at."""

    smith: TokenSmith
    client_secrets: ClientSecrets
    sandbox: bool  # whether secrets that anybody may know are taken
    subject_secret: bytes = field(repr=False)  # 32 bytes; a subject once made is kept, so the key may change

    @property
    def own_audience(self) -> str:
        """The audience of our own API: the public URL."""
        return self.smith.issuer

    async def subject_of(self, work: Work, citizen: UUID, sector: str) -> str:
        """Return the name under which a sector knows a person, making it at first use."""
        subjects = SubjectStore(work.session)
        known = await subjects.find(citizen, sector)
        return known or await subjects.add(citizen, sector, pairwise_subject(self.subject_secret, citizen, sector))

    async def subject_at_client(self, work: Work, citizen: UUID, client_id: str) -> str:
        """Return the `sub` of a person in the tokens of one client; raises ClientNotFound."""
        client = await ClientStore(work.session).find(client_id)
        if client is None:
            raise ClientNotFound
        return await self.subject_of(work, citizen, client.sector)

    async def revoke_from_now(self, work: Work, revoked: str) -> None:
        """Kill every token issued until now that names this id."""
        await RevocationStore(work.session).revoke(revoked, milliseconds(work) + 1)
        work.record(Fact(topic=REVOKED, key=revoked, details={"reason": "everything that names it"}))


def milliseconds(work: Work) -> int:
    """Return this Work's time as tokens count it."""
    return int(work.now.timestamp() * 1000)


def told(token: AccessToken, grant: str) -> dict[str, object]:
    """Return what the journal keeps of a token that was made: everything but the token itself."""
    return {
        "grant": grant,
        "jti": token.jti,
        "client": token.client_id,
        "audience": token.audience,
        "scope": " ".join(sorted(token.scopes)),
        "acr": token.acr,
        "expires_s": token.expires_s,
        "lineage": [ancestor.jti for ancestor in token.lineage],
        "act": token.act,
    }
