"""One application for all tests of access: whoever calls, and whatever the call is about."""

import re
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import httpx

from labeler_api.db.pool import Database
from labeler_api.limits.rate_limits import Limits
from labeler_api.resilience.caches import Caches
from tests.access.calls import Ask, version_of
from tests.access.stage import ACCOUNTS, IDS, Stage
from tests.fixtures.api import Api

_PLACEHOLDER = re.compile(r"\{(\w+)\}")


class World:
    """Sends the calls of the table as each of its callers."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self._clients: dict[str, httpx.AsyncClient] = {}

    @property
    def db(self) -> Database:
        return self.api.db

    def fresh(self) -> None:
        """Forget how often everybody has tried, and what was seen of members."""
        self.api.app.state.services = replace(self.api.services, limits=Limits(), caches=Caches())

    def client(self, caller: str) -> httpx.AsyncClient:
        """A client of a caller of the table, or of an account."""
        if caller not in self._clients:
            account = ACCOUNTS.get(caller, caller)
            token = self.api.token(IDS[account], f"{account}@example.com")
            headers = {} if caller == "nobody" else {"Authorization": f"Bearer {token}"}
            self._clients[caller] = self.api.client(headers)
        return self._clients[caller]

    async def send(self, caller: str, call: str, stage: Stage, ask: Ask) -> httpx.Response:
        """Make a call: `call` is method and path as the table writes them."""
        method, url = call.partition(" ")[0], self.url(call, stage, ask)
        params = dict(ask.params)
        client = self.client(caller)
        if ask.link:
            params |= self._signature(url, ask.link, caller)
            client = self.client("nobody")  # the link is the credential
        return await client.request(
            method,
            url,
            params=params or None,
            json=ask.json,
            data=dict(ask.form) or None,
            files=list(ask.files) or None,
            headers=dict(ask.headers),
        )

    def url(self, call: str, stage: Stage, ask: Ask) -> str:
        """Fill the path of a call."""
        path = call.partition(" ")[2]
        return _PLACEHOLDER.sub(lambda match: quote(str(_value(ask, stage, match[1]))), path)

    def _signature(self, url: str, kind: str, caller: str) -> dict[str, Any]:
        """The query of the link that this caller's lists would hold; nobody has none that was signed for them."""
        what = url.removeprefix(f"/media/{kind}/")
        user_id = IDS[ACCOUNTS.get(caller, caller)]
        if kind == "exports":
            link = self.api.services.links.export(what, version_of(kind), user_id)
        else:
            dataset_id, _, image_id = what.partition("/")
            link = self.api.services.links.image(kind, dataset_id, image_id, version_of(kind), user_id)  # type: ignore[arg-type]
        query = dict(parse_qsl(urlsplit(link).query))
        return query | {"s": "x" * 43} if caller == "nobody" else query

    async def close(self) -> None:
        for client in self._clients.values():
            await client.aclose()


def _value(ask: Ask, stage: Stage, name: str) -> object:
    if name in ask.path:
        return ask.path[name]
    return getattr(stage, name)
