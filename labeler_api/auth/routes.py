"""Logging in (calls 1 and 2, contract#logging-in)."""

from labeler_api.auth import service
from labeler_api.auth.schemas import Login, MeResponse, TokenResponse
from labeler_api.context import Call
from labeler_api.errors import Forbidden, TooMany, Unauthenticated
from labeler_api.http.endpoint import endpoint


async def log_in(call: Call, body: Login) -> TokenResponse:
    """Exchange an e-mail address and a password for a bearer token"""
    return await service.log_in(call, body)


async def login_options(call: Call) -> None:
    """Answer a client that asks what the login offers"""


async def me(call: Call) -> MeResponse:
    """Say who the caller is"""
    return await service.me(call)


routes = [
    endpoint("POST", "/auth/login", log_in, login=False, reads=True, errors=(Unauthenticated, Forbidden, TooMany)),
    endpoint("OPTIONS", "/auth/login", login_options, login=False),
    endpoint("GET", "/auth/me", me),
]
