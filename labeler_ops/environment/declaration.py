"""The one declaration of every variable; the check, the examples and the documents are made from it."""

from collections.abc import Mapping, Sequence

from labeler_ops.environment import declared_api as api
from labeler_ops.environment import declared_others as others
from labeler_ops.environment import declared_stores as stores
from labeler_ops.environment.variables import Group, Variable, complete

GROUPS: Sequence[Group] = (
    api.WHERE,
    api.API,
    stores.LABELER_DB,
    stores.RAILWAY,
    api.WORK,
    stores.PLATFORM_DB,
    api.CLIENT,
    api.TOKENS,
    stores.STORAGE,
    others.SEEING,
    api.LIMITS,
    others.GATEWAY,
    others.OPS,
    others.MOVE,
    others.BACKUP,
)
"""In the order in which the documents list them."""

VARIABLES: Mapping[str, Variable] = complete(GROUPS)
