"""Use cases of users."""

from labeler_api.context import Call
from labeler_api.errors import NotFound, invalid
from labeler_api.limits.rate_limits import SEARCHES_PER_PERSON
from labeler_api.users import store
from labeler_api.users.schemas import SearchQuery, SearchResponse, UserResponse, found_user, user_response

_MIN_CHARACTERS = 2  # contract#users: nobody lists everybody letter by letter


async def search(call: Call, query: SearchQuery) -> SearchResponse:
    """Find active users by e-mail address or name, without the members of the project in `project_id`.

    The domains of addresses are not searched. Raises TooMany after 60 searches in a minute.
    """
    text = query.q.strip()
    if len(text) < _MIN_CHARACTERS:
        raise invalid(f"needs at least {_MIN_CHARACTERS} characters", "query", "q")
    if "@" in text and len(text.partition("@")[0].strip()) < _MIN_CHARACTERS:
        raise invalid(f"needs at least {_MIN_CHARACTERS} characters before the @", "query", "q")
    await call.services.limits.hit(SEARCHES_PER_PERSON, str(call.user_id))
    excluded = await _members(call, query.project_id) if query.project_id else []
    users, total = await call.directory.search(text, exclude_ids=excluded, limit=query.limit, offset=query.offset)
    return SearchResponse(
        users=[found_user(user) for user in users], total=total, limit=query.limit, offset=query.offset
    )


async def get(call: Call, user_id: int) -> UserResponse:
    """Return one user; without the organization where the Platform DB cannot tell its name."""
    user = await call.directory.find(user_id)
    if user is None:
        raise NotFound("There is no such user.", code="user_not_found")
    return user_response(user, await call.organizations.find(user.organization_id))


async def _members(call: Call, reference: str) -> list[int]:
    async with call.db.read() as connection:
        found = await store.members(connection, reference, call.user_id, is_admin=call.principal.is_admin)
    if found is None:
        raise NotFound("There is no such project, or you are not a member of it.", code="project_not_found")
    return found
