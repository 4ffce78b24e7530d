"""Where everything is (OpenID Connect Discovery 1.0, RFC 8414), and the keys that tokens are signed with.

Invariant: the documents name what is served and nothing else: each list in them is the one that the code works with.
"""

from typing import Any

from fastapi import APIRouter, Response

from identity_svc.tokens.api.endpoints import GRANTS, TheDesk
from identity_svc.tokens.api.forms import AUTHENTICATION_METHODS
from identity_svc.tokens.domain.assurance import OF_PERSONS, PERSON_SCOPES

router = APIRouter(tags=["OAuth"])

AUTHORIZATION_RESPONSE_TYPE = "code"
CHALLENGE_METHOD = "S256"
PROMPTS = ("none", "login")


@router.get("/oauth/jwks", operation_id="identity.jwks")
async def jwks(desk: TheDesk, response: Response) -> dict[str, Any]:
    """The public keys of access tokens and id tokens (RFC 7517)."""
    response.headers["Cache-Control"] = "public, max-age=60"
    return desk.smith.jwks()


@router.get("/.well-known/oauth-authorization-server", operation_id="identity.server_metadata")
async def server_metadata(desk: TheDesk, response: Response) -> dict[str, Any]:
    """What this authorization server offers (RFC 8414)."""
    response.headers["Cache-Control"] = "public, max-age=60"
    return _server_metadata(desk.smith.issuer)


@router.get("/.well-known/openid-configuration", operation_id="identity.discovery")
async def discovery(desk: TheDesk, response: Response) -> dict[str, Any]:
    """The same, with what OpenID Connect adds."""
    response.headers["Cache-Control"] = "public, max-age=60"
    return _server_metadata(desk.smith.issuer) | {
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "acr_values_supported": list(OF_PERSONS),
        "prompt_values_supported": list(PROMPTS),
        "userinfo_endpoint": f"{desk.smith.issuer}/v1/me",
        "claims_supported": ["sub", "iss", "aud", "iat", "exp", "auth_time", "nonce", "acr", "amr"],
        "claims_parameter_supported": False,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
    }


def _server_metadata(issuer: str) -> dict[str, Any]:
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/oauth/authorize",
        "token_endpoint": f"{issuer}/oauth/token",
        "introspection_endpoint": f"{issuer}/oauth/introspect",
        "revocation_endpoint": f"{issuer}/oauth/revoke",
        "jwks_uri": f"{issuer}/oauth/jwks",
        "service_documentation": f"{issuer}/docs",
        "scopes_supported": sorted(PERSON_SCOPES),
        "response_types_supported": [AUTHORIZATION_RESPONSE_TYPE],
        "response_modes_supported": ["query"],
        "grant_types_supported": list(GRANTS),
        "code_challenge_methods_supported": [CHALLENGE_METHOD],
        "token_endpoint_auth_methods_supported": list(AUTHENTICATION_METHODS),
        "introspection_endpoint_auth_methods_supported": list(AUTHENTICATION_METHODS),
        "revocation_endpoint_auth_methods_supported": list(AUTHENTICATION_METHODS),
        "authorization_response_iss_parameter_supported": True,
    }
