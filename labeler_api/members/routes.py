"""Members of a project (calls 34 to 38, contract#members), and of its dataset (18 to 22)."""

from labeler_api.errors import BadRequest, Conflict, Forbidden, NotFound, TooMany
from labeler_api.http.endpoint import endpoint, links_to
from labeler_api.members.dataset_permissions.routes import (
    change_dataset_permission,
    invite_to_dataset,
    list_dataset_permissions,
    remove_dataset_permission,
    transfer_dataset,
)
from labeler_api.members.membership.routes import (
    add_member,
    change_member,
    list_members,
    remove_member,
    transfer_ownership,
)

_OF_PROJECT = "/projects/{project_id}/permissions"


_OF_DATASET = "/datasets/{dataset_id}/permissions"


_AFTER_ADD_MEMBER = [
    *links_to(
        {"project_id": "$request.path.project_id", "user_id": "$response.body#/user_id"},
        "members_change_member",
        "members_remove_member",
    ),
]

_AFTER_INVITE_TO_DATASET = [
    *links_to(
        {"dataset_id": "$request.path.dataset_id", "user_id": "$response.body#/user_id"},
        "members_change_dataset_permission",
        "members_remove_dataset_permission",
    ),
]

routes = [
    endpoint("GET", _OF_PROJECT, list_members, errors=(NotFound,), large=True),
    endpoint(
        "POST",
        _OF_PROJECT,
        add_member,
        links=_AFTER_ADD_MEMBER,
        status=201,
        idempotent=True,
        errors=(BadRequest, Forbidden, NotFound, TooMany),
    ),
    endpoint("PATCH", f"{_OF_PROJECT}/{{user_id}}", change_member, errors=(BadRequest, Forbidden, NotFound)),
    endpoint(
        "DELETE", f"{_OF_PROJECT}/{{user_id}}", remove_member, status=204, errors=(BadRequest, Forbidden, NotFound)
    ),
    endpoint(
        "POST",
        "/projects/{project_id}/transfer-ownership",
        transfer_ownership,
        errors=(BadRequest, Forbidden, NotFound),
    ),
    endpoint(
        "POST",
        f"{_OF_DATASET}/invite",
        invite_to_dataset,
        links=_AFTER_INVITE_TO_DATASET,
        idempotent=True,
        errors=(BadRequest, Forbidden, NotFound, Conflict, TooMany),
    ),
    endpoint("GET", _OF_DATASET, list_dataset_permissions, errors=(NotFound,), large=True),
    endpoint("PUT", f"{_OF_DATASET}/{{user_id}}", change_dataset_permission, errors=(BadRequest, Forbidden, NotFound)),
    endpoint(
        "DELETE",
        f"{_OF_DATASET}/{{user_id}}",
        remove_dataset_permission,
        status=204,
        errors=(BadRequest, Forbidden, NotFound),
    ),
    endpoint("POST", f"{_OF_DATASET}/transfer-owner", transfer_dataset, errors=(BadRequest, Forbidden, NotFound)),
]
