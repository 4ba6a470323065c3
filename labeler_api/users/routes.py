"""Users (calls 3 and 4, contract#users)."""

from labeler_api.context import Call
from labeler_api.errors import NotFound, TooMany
from labeler_api.http.endpoint import endpoint
from labeler_api.users import service
from labeler_api.users.schemas import SearchQuery, SearchResponse, UserId, UserResponse


async def search_users(call: Call, query: SearchQuery) -> SearchResponse:
    """Search active users by e-mail address or name

    With `project_id`, the id of a project or of its dataset, its members are left out.
    """
    return await service.search(call, query)


async def get_user(call: Call, user_id: UserId) -> UserResponse:
    """Return a user"""
    return await service.get(call, user_id)


routes = [
    endpoint("GET", "/users/search", search_users, errors=(NotFound, TooMany)),
    endpoint("GET", "/users/{user_id}", get_user, errors=(NotFound,)),
]
