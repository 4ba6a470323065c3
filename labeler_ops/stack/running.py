"""What is running and where: the facts behind the table and the ready file."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from labeler_ops.stack.accounts import DemoAccount
from labeler_ops.stack.home import write_json
from labeler_ops.stack.services import Addresses
from labeler_ops.storage.access import StorageAccess


@dataclass(frozen=True)
class Running:
    """A system that answers."""

    addresses: Addresses
    databases: Mapping[str, str]
    storage: StorageAccess
    accounts: Sequence[DemoAccount]
    pids: Mapping[str, int]

    def write(self, path: Path) -> None:
        """Write the ready file: JSON, readable by its owner only (it holds passwords), whole or not at all."""
        accounts = [{"email": a.email, "password": a.password, "role": a.role} for a in self.accounts]
        content = {
            "api": self.addresses.api,
            "gateway": self.addresses.gateway,
            "storage": self.storage.endpoint,
            "databases": dict(self.databases),
            "accounts": accounts,
            "pids": {"supervisor": os.getpid(), **self.pids},
        }
        write_json(path, content)

    def places(self) -> list[tuple[str, str]]:
        """List names and addresses for the table, without passwords."""
        return [
            ("API", self.addresses.api),
            ("documentation", f"{self.addresses.api}/docs"),
            ("user gateway (gRPC)", self.addresses.gateway),
            ("object store (S3)", self.storage.endpoint),
            *((f"{name} database", _without_password(url)) for name, url in self.databases.items()),
        ]


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    user = f"{parts.username}@" if parts.username else ""
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{user}{parts.hostname}{port}{parts.path}"
