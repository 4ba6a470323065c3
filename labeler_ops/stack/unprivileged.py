"""Run programs that refuse to run as root (PostgreSQL does) when we are root.

First choice is a user namespace: it needs no account and changes no owner, the data stays root's. Where the
kernel or the container forbids user namespaces, an existing account is taken and given the data directory.
"""

import os
import pwd
import shutil
import subprocess
from pathlib import Path

from labeler_ops.errors import StackError

_NAMESPACE = ("unshare", "--user", "--map-user=1000", "--map-group=1000")  # any id but 0 will do
_ACCOUNTS = ("postgres", "nobody")


def prefix(data_dir: Path, bin_dir: Path) -> list[str]:
    """Give what to put before a command so that it runs as an ordinary user; nothing when we are one.

    Raises StackError when there is no way on this machine.
    """
    if os.geteuid() != 0:
        return []
    if _namespaces_work():
        return list(_NAMESPACE)
    return _as_account(data_dir, bin_dir)


def _namespaces_work() -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*_NAMESPACE, "true"], capture_output=True, check=False).returncode == 0


def _as_account(data_dir: Path, bin_dir: Path) -> list[str]:
    account = next(filter(None, map(_find_account, _ACCOUNTS)), None)
    if account is None or shutil.which("setpriv") is None:
        raise StackError(
            "PostgreSQL does not run as root, user namespaces are off and there is no account to run it as:"
            " run this command as an ordinary user, or create one (useradd --system postgres)"
        )
    command = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups", "--"]
    for path in (bin_dir, data_dir.parent):
        if subprocess.run([*command, "test", "-x", path], capture_output=True, check=False).returncode != 0:
            raise StackError(
                f"PostgreSQL would run as '{account.pw_name}', which cannot enter {path}:"
                " run this command as an ordinary user, or use a directory that everybody may traverse"
            )
    _give(data_dir, account)
    return command


def _find_account(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _give(data_dir: Path, account: pwd.struct_passwd) -> None:
    if not data_dir.exists() or data_dir.stat().st_uid == account.pw_uid:
        return
    for path in (data_dir, *data_dir.rglob("*")):
        os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)
