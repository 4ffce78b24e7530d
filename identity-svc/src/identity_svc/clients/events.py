"""Clients as others learn of them: no name, no address."""

from contracts.events.identity import ClientRegistered, ClientSuspended
from identity_svc.clients.domain import Client


def client_registered(client: Client) -> ClientRegistered:
    """Tell that a client may use the API."""
    return ClientRegistered(
        client_id=client.client_id, kind=client.kind.value, status=client.status.value, version=client.version
    )


def client_suspended(client: Client) -> ClientSuspended:
    """Tell that a client may no longer use the API."""
    return ClientSuspended(
        client_id=client.client_id, kind=client.kind.value, status=client.status.value, version=client.version
    )
