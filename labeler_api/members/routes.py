"""Members of a project (calls 34 to 38, contract#members), and of its dataset (18 to 22)."""

from labeler_api.http.endpoint import endpoint
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


routes = [
    endpoint("GET", _OF_PROJECT, list_members, errors=(404,), large=True),
    endpoint("POST", _OF_PROJECT, add_member, status=201, idempotent=True, errors=(400, 403, 404, 429)),
    endpoint("PATCH", f"{_OF_PROJECT}/{{user_id}}", change_member, errors=(400, 403, 404)),
    endpoint("DELETE", f"{_OF_PROJECT}/{{user_id}}", remove_member, status=204, errors=(400, 403, 404)),
    endpoint("POST", "/projects/{project_id}/transfer-ownership", transfer_ownership, errors=(400, 403, 404)),
    endpoint("POST", f"{_OF_DATASET}/invite", invite_to_dataset, idempotent=True, errors=(400, 403, 404, 409, 429)),
    endpoint("GET", _OF_DATASET, list_dataset_permissions, errors=(404,), large=True),
    endpoint("PUT", f"{_OF_DATASET}/{{user_id}}", change_dataset_permission, errors=(400, 403, 404)),
    endpoint("DELETE", f"{_OF_DATASET}/{{user_id}}", remove_dataset_permission, status=204, errors=(400, 403, 404)),
    endpoint("POST", f"{_OF_DATASET}/transfer-owner", transfer_dataset, errors=(400, 403, 404)),
]
