"""Members of a project (contract 34, 35)."""

from labeler_api.context import Call
from labeler_api.http.endpoint import endpoint
from labeler_api.members import service
from labeler_api.members.schemas import AddMember, MemberResponse


async def list_members(call: Call, project_id: str) -> list[MemberResponse]:
    """List the members of a project"""
    return await service.page(call, project_id)


async def add_member(call: Call, project_id: str, body: AddMember) -> MemberResponse:
    """Add a member by e-mail address"""
    return await service.add(call, project_id, body)


routes = [
    endpoint("GET", "/projects/{project_id}/permissions", list_members, errors=(404,)),
    endpoint("POST", "/projects/{project_id}/permissions", add_member, status=201, errors=(400, 403, 404)),
]
