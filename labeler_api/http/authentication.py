"""Who sends a request: the bearer token is checked, and a user who does not exist or was deactivated is refused."""

from starlette.requests import Request

from labeler_api.context import Principal, Services
from labeler_api.errors import Unauthenticated
from labeler_api.tokens import access_tokens


async def authenticate(request: Request, services: Services) -> Principal:
    """Check the token, then ask whether its user is still active.

    Raises Unauthenticated for a token that does not hold (`access_tokens.verify`) and for an unknown user, Forbidden
    for one who was deactivated (`UserDirectory.require_active`), Unavailable where nobody can say.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if not token or scheme.lower() != "bearer":
        raise Unauthenticated("Log in first: this call needs the header Authorization: Bearer <token>.")
    settings = services.settings
    claims = access_tokens.verify(token.strip(), secret=settings.jwt_secret_key, algorithm=settings.jwt_algorithm)
    profile = await services.directory.require_active(claims.user_id)
    return Principal(user_id=profile.id, email=profile.email, is_admin=profile.is_admin, profile=profile)
