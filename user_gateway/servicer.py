"""The calls of users.v1.UserGatewayService: check the request, ask the store, build the answer."""

from collections.abc import Sequence
from datetime import datetime
from importlib import metadata

import msgspec

from proto.users.v1 import user_gateway_pb2 as pb
from proto.users.v1 import user_gateway_pb2_grpc as pb_grpc
from user_gateway import errors
from user_gateway.auth import Scope, current_caller, require
from user_gateway.errors import InvalidArgument
from user_gateway.interceptors import Context
from user_gateway.paging import PageTokens, Position, fingerprint
from user_gateway.passwords import PasswordChecker
from user_gateway.search import Search
from user_gateway.store import UserStore
from user_gateway.users import timestamp, with_user, with_users

MAX_IDS = 500
"""Ids in one BatchGetUsers: an answer of about 100 KB, far below gRPC's 4 MiB."""

MAX_EXCLUDED = 10_000
"""Ids that a search leaves out: members of the largest projects, with room."""

MAX_PAGE_SIZE = 200
DEFAULT_PAGE_SIZE = 50
MIN_QUERY, MAX_QUERY = 2, 255  # characters; no name or address in the User DB is longer
MIN_LOCAL_PART = 2
"""Characters before the `@` of a query: the domain alone would find everybody."""


class Proof(msgspec.Struct, frozen=True):
    """What the start-up proof found, and when."""

    write_privileges: Sequence[str]
    proven_at: datetime


class UserGatewayServicer(pb_grpc.UserGatewayServiceServicer):
    """Serves the calls. `call_seconds` is the longest time for one, whatever deadline the caller set."""

    def __init__(
        self, store: UserStore, passwords: PasswordChecker, page_tokens: PageTokens, *, call_seconds: float
    ) -> None:
        self._store = store
        self._passwords = passwords
        self._page_tokens = page_tokens
        self._call_seconds = call_seconds
        self.proof: Proof | None = None

    async def GetUser(self, request: pb.GetUserRequest, context: Context) -> pb.GetUserResponse:  # noqa: N802 - gRPC's name
        """Answer GetUser."""
        full = _require_view(request.view)
        key = request.WhichOneof("key")
        if key == "email":
            require(Scope.USERS_READ_PRIVATE)  # else anybody could ask who has which address
            row = None
            if _storable(request.email):
                row = await self._store.find_by_email(request.email, full=full, seconds=self._seconds(context))
            if row is None:
                raise errors.user_not_found()
        elif key == "id":
            if request.id < 1:
                raise InvalidArgument(
                    "USER_ID_INVALID", "The id has to be 1 or greater.", metadata={"id": str(request.id)}
                )
            row = await self._store.find(request.id, full=full, seconds=self._seconds(context))
            if row is None:
                raise errors.user_not_found(id=str(request.id))
        else:
            raise InvalidArgument("KEY_MISSING", "Give an id or an e-mail address.")
        return with_user(pb.GetUserResponse, row, full=full)

    async def BatchGetUsers(self, request: pb.BatchGetUsersRequest, context: Context) -> pb.BatchGetUsersResponse:  # noqa: N802
        """Answer BatchGetUsers."""
        full = _require_view(request.view)
        if not request.ids:
            raise InvalidArgument("IDS_EMPTY", "The call takes 1 to 500 ids.")
        _require_at_most(MAX_IDS, request.ids, "ids")
        ids = list(dict.fromkeys(request.ids))
        rows = await self._store.find_many(ids, full=full, seconds=self._seconds(context))
        found = {row["id"]: row for row in rows}
        return with_users(
            pb.BatchGetUsersResponse,
            [found[user_id] for user_id in ids if user_id in found],
            full=full,
            missing_ids=[user_id for user_id in ids if user_id not in found],
        )

    async def SearchUsers(self, request: pb.SearchUsersRequest, context: Context) -> pb.SearchUsersResponse:  # noqa: N802
        """Answer SearchUsers."""
        full = _require_view(request.view)
        query = request.query.strip()
        _check_search(request, query)
        search = fingerprint(query, request.exclude_ids, int(full))
        size = min(request.page_size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        total, rows = await self._store.search(
            Search(
                query=query,
                exclude_ids=list(request.exclude_ids),
                limit=size + 1,  # one more tells whether there is a next page
                skip=request.skip,
                after=self._page_tokens.read(request.page_token, search) if request.page_token else None,
                full=full,
            ),
            caller=current_caller.get().name,
            seconds=self._seconds(context),
        )
        page = rows[:size]
        more = len(rows) > size
        last = Position(page[-1]["sort_key"], page[-1]["id"]) if more else None
        return with_users(
            pb.SearchUsersResponse,
            page,
            full=full,
            next_page_token=self._page_tokens.make(last, search) if last else "",
            total_size=total,
        )

    async def VerifyCredentials(  # noqa: N802
        self, request: pb.VerifyCredentialsRequest, context: Context
    ) -> pb.VerifyCredentialsResponse:
        """Answer VerifyCredentials: without a user when the address or the password is wrong."""
        require(Scope.CREDENTIALS_VERIFY)
        if not request.email or not request.password:
            raise InvalidArgument("CREDENTIALS_INCOMPLETE", "Give an e-mail address and a password.")
        self._passwords.require_free()  # a flood costs the database nothing
        row = None
        if _storable(request.email):
            row = await self._store.find_with_hash(request.email, seconds=self._seconds(context))
        right = await self._passwords.check(
            request.password, row["password_hash"] if row else None, highest_cost=self._store.password_cost
        )
        if row is None or not right:
            return pb.VerifyCredentialsResponse()
        return with_user(pb.VerifyCredentialsResponse, row, full=True)

    async def GetServiceInfo(  # noqa: N802
        self, request: pb.GetServiceInfoRequest, context: Context
    ) -> pb.GetServiceInfoResponse:
        """Answer GetServiceInfo; Unavailable while the User DB is away, so that it can serve as a probe."""
        del request, context
        catalog, proof = self._store.current_catalog(), self.proof
        if proof is None:
            raise errors.database_unavailable()
        return pb.GetServiceInfoResponse(
            version=metadata.version("image-labeler"),
            database_read_only=not proof.write_privileges,
            write_privileges=proof.write_privileges,
            proven_at=timestamp(proof.proven_at),
            profile_source=catalog.profile_source,
            columns=catalog.columns,
        )

    def _seconds(self, context: Context) -> float:
        remaining = context.time_remaining()
        return self._call_seconds if remaining is None else min(max(remaining, 0.0), self._call_seconds)


def _require_view(view: int) -> bool:
    """Check the scopes that the view needs; tell whether it is the full one."""
    require(Scope.USERS_READ)
    if view == pb.USER_VIEW_FULL:
        require(Scope.USERS_READ_PRIVATE)
        return True
    return False


def _check_search(request: pb.SearchUsersRequest, query: str) -> None:
    _require_at_most(MAX_EXCLUDED, request.exclude_ids, "exclude_ids")
    if len(query) < MIN_QUERY:
        raise InvalidArgument("QUERY_TOO_SHORT", f"The query needs at least {MIN_QUERY} characters.")
    if "@" in query and len(query.partition("@")[0].strip()) < MIN_LOCAL_PART:
        raise InvalidArgument("QUERY_TOO_SHORT", f"The query needs at least {MIN_LOCAL_PART} characters before the @.")
    if len(query) > MAX_QUERY or not _storable(query):
        raise InvalidArgument("QUERY_TOO_LONG", f"The query may have {MAX_QUERY} characters at most, none of them NUL.")
    if request.page_size < 0:
        raise InvalidArgument("PAGE_SIZE_INVALID", "The page size has to be 0 or greater.")
    if request.skip < 0:
        raise InvalidArgument("SKIP_INVALID", "The number to skip has to be 0 or greater.")
    if request.skip and request.page_token:
        raise InvalidArgument("SKIP_WITH_PAGE_TOKEN", "Give skip or page_token, not both.")


def _require_at_most(limit: int, ids: Sequence[int], field: str) -> None:
    if len(ids) > limit:
        raise InvalidArgument(
            "TOO_MANY_IDS",
            f"The field {field} may have {limit} ids at most, and has {len(ids)}.",
            metadata={"field": field, "limit": str(limit), "given": str(len(ids))},
        )


def _storable(text: str) -> bool:
    return "\0" not in text  # PostgreSQL's text holds every character but this one
