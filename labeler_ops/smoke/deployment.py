"""A deployment as its users reach it: an address, an account, and answers that are what was expected or say why not."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from labeler_ops.errors import OperatorError

# What browsers and proxies wait for at most, and a little: the API itself gives up after 30 s.
_SECONDS = 35.0
_SHOWN_CHARACTERS = 300  # of an answer that was not expected


class StepFailed(OperatorError):
    """A deployment did not do what it should; the text says what was asked, and what came back."""


@dataclass(frozen=True)
class SmokeAccount:
    """Who logs in."""

    email: str
    password: str

    def __repr__(self) -> str:
        return f"Account({self.email})"


class Deployment:
    """One HTTP client with one account's token. An async context manager."""

    def __init__(self, url: str, account: SmokeAccount) -> None:
        self.url = normal_url(url)
        self.account = account
        self._http = httpx.AsyncClient(base_url=self.url, timeout=_SECONDS)
        # Links carry their own signature: a store that gets a token as well refuses the request.
        self._browser = httpx.AsyncClient(timeout=_SECONDS, follow_redirects=True)

    async def __aenter__(self) -> "Deployment":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()
        await self._browser.aclose()

    @property
    def logged_in(self) -> bool:
        """Whether calls carry a token."""
        return "Authorization" in self._http.headers

    async def log_in(self) -> None:
        """Exchange the password for a token. Raises StepFailed."""
        body = {"email": self.account.email, "password": self.account.password}
        answer = await self.ask("POST", "/api/v1/auth/login", json=body)
        self._http.headers["Authorization"] = f"Bearer {answer['access_token']}"

    async def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send a request, whatever comes back. Raises StepFailed when nothing does."""
        try:
            return await self._http.request(method, path, **options)
        except httpx.HTTPError as error:
            raise StepFailed(f"{method} {_shown(path)}: {type(error).__name__} {error}".rstrip()) from error

    async def ask(self, method: str, path: str, status: int = 200, **options: Any) -> Any:
        """Send a request that has to be answered with `status`; return its JSON, None for no body."""
        return decode_json(await self.expect(method, path, status, **options))

    async def expect(self, method: str, path: str, status: int = 200, **options: Any) -> httpx.Response:
        """Send a request that has to be answered with `status`. Raises StepFailed."""
        answer = await self.send(method, path, **options)
        if answer.status_code != status:
            raise StepFailed(f"{method} {_shown(path)}: expected {status}, got {response_summary(answer)}")
        return answer

    async def download(self, link: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """Open a signed link as a browser does, without a token. Raises StepFailed."""
        try:
            answer = await self._browser.get(link, headers=headers)
        except httpx.HTTPError as error:
            raise StepFailed(f"GET {_shown(link)}: {type(error).__name__} {error}".rstrip()) from error
        if not answer.is_success:
            raise StepFailed(f"GET {_shown(link)}: expected the file, got {response_summary(answer)}")
        return answer


def decode_json(answer: httpx.Response) -> Any:
    """Read the JSON of an answer; None for no body. Raises StepFailed."""
    if not answer.content:
        return None
    try:
        return answer.json()
    except ValueError as error:
        asked = f"{answer.request.method} {answer.request.url.path}"
        raise StepFailed(f"{asked}: expected JSON, got {answer.text[:_SHOWN_CHARACTERS]!r}") from error


def normal_url(text: str) -> str:
    """Take an address as people copy it: with or without `/` or `/api/v1` at the end. Raises ValueError."""
    parts = urlsplit(text.strip())
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username:
        raise ValueError(f"expected http://host:port or https://host, got {text!r}")
    path = parts.path.rstrip("/").removesuffix("/api/v1")
    return parts._replace(path=path, query="", fragment="").geturl()


def check(condition: object, text: str) -> None:
    """Raise StepFailed with `text` unless the condition holds."""
    if not condition:
        raise StepFailed(text)


def _shown(link: str) -> str:
    """A link without its signature, which would open the file for every reader of the report."""
    return urlsplit(link)._replace(query="").geturl()


def response_summary(answer: httpx.Response) -> str:
    """Say what came back, in a line."""
    if answer.is_success:
        return str(answer.status_code)
    try:
        body = json.loads(answer.content)
        summary = f"{body['code']}: {body['detail']}"
        if request_id := body.get("request_id"):
            summary += f" (request {request_id})"
    except (ValueError, KeyError, TypeError):
        summary = answer.text[:_SHOWN_CHARACTERS]
    return f"{answer.status_code} {summary}".rstrip()
