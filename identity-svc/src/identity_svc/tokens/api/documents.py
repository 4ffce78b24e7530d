"""How the OAuth endpoints are described in the OpenAPI: their forms are read by hand, so FastAPI cannot know them."""

from typing import Any, Final


def _form(required: tuple[str, ...], **fields: str) -> dict[str, Any]:
    properties = {name: {"type": "string", "description": words} for name, words in fields.items()}
    client = {
        "client_id": {"type": "string", "description": "Unless the Authorization header (Basic) names the client."},
        "client_secret": {"type": "string", "description": "Unless the Authorization header carries it."},
    }
    schema = {"type": "object", "properties": properties | client, "required": list(required)}
    return {"required": True, "content": {"application/x-www-form-urlencoded": {"schema": schema}}}


def _answers(ok: str) -> dict[str, Any]:
    error = {
        "type": "object",
        "properties": {"error": {"type": "string"}, "error_description": {"type": "string"}},
        "required": ["error"],
    }
    refused = {"content": {"application/json": {"schema": error}}}
    return {
        "200": {"description": ok},
        "400": {"description": "Refused (RFC 6749 section 5.2).", **refused},
        "401": {"description": "The client did not prove who it is.", **refused},
    }


TOKEN_DOCUMENT: Final = {
    "requestBody": _form(
        ("grant_type",),
        grant_type="authorization_code, client_credentials or urn:ietf:params:oauth:grant-type:token-exchange",
        code="authorization_code: the code of the redirect",
        redirect_uri="authorization_code: as in the authorization request",
        code_verifier="authorization_code: PKCE S256 (RFC 7636)",
        scope="client_credentials, token exchange: space-separated; all that is allowed when absent",
        subject_token="token exchange (RFC 8693): a live access token of ours",
        subject_token_type="token exchange: urn:ietf:params:oauth:token-type:access_token",
        actor_token="token exchange: the requesting client's own access token, when it is to be named as actor",
        actor_token_type="token exchange: urn:ietf:params:oauth:token-type:access_token",
        requested_token_type="token exchange: urn:ietf:params:oauth:token-type:access_token",
        audience="token exchange: exactly one URI",
        resource="token exchange: another name of audience (RFC 8707)",
    ),
    "responses": _answers("access_token, token_type, expires_in (s), scope; id_token or issued_token_type."),
}
INTROSPECT_DOCUMENT: Final = {
    "requestBody": _form(("token",), token="the access token", token_type_hint="ignored"),
    "responses": _answers("active, and what the token says (RFC 7662)."),
}
REVOKE_DOCUMENT: Final = {
    "requestBody": _form(("token",), token="the access token", token_type_hint="ignored"),
    "responses": _answers("Nothing; also when the token was not this client's (RFC 7009)."),
}
