"""Logging in."""

from labeler_api.auth.schemas import Login, MeResponse, TokenResponse
from labeler_api.context import Call
from labeler_api.errors import Forbidden, TooMany, Unauthenticated, Unavailable
from labeler_api.tokens import access_tokens


async def log_in(call: Call, body: Login) -> TokenResponse:
    """Exchange credentials for a token. Raises Unauthenticated, Forbidden (inactive), TooMany, Unavailable."""
    settings = call.settings
    attempt = await call.services.limits.try_login(call.client, body.email)
    try:
        user = await call.directory.verify_credentials(body.email, body.password)
    except (Unavailable, TooMany):  # the gateway is away, or checks as many passwords as it can
        await attempt.not_judged()
        raise
    if user is None:
        raise Unauthenticated("The e-mail address or the password is wrong.", code="wrong_credentials")
    if not user.is_active:
        raise Forbidden("This account is not active.", code="user_inactive")
    await attempt.succeeded()
    token = access_tokens.issue(
        user_id=user.id,
        email=user.email,
        secret=settings.jwt_secret_key,
        algorithm=settings.jwt_algorithm,
        minutes=settings.jwt_expire_minutes,
    )
    return TokenResponse(access_token=token, token_type="bearer")  # noqa: S106 - the scheme's name


async def me(call: Call) -> MeResponse:
    """Say who the caller is; without the organization where the Platform DB cannot tell its name."""
    user = call.principal.profile
    return MeResponse(
        id=user.id,
        email=user.email,
        username=None,
        full_name=user.full_name,
        company=user.company,
        division=user.division,
        department=user.department,
        system_role=user.system_role,
        is_active=user.is_active,
        is_admin=user.is_admin,
        badge_color=user.badge_color or "",
        created_at=user.created_at,
        updated_at=user.updated_at,
        organization=await call.organizations.find(user.organization_id),
    )
