"""What every command of `labeler` has to wait for before it begins."""

import os
import subprocess
import sys
from pathlib import Path

# Each takes from a fifth to half a second to load; the commands that need one load it themselves.
HEAVY = {"aiobotocore", "alembic", "httpx", "numpy", "PIL", "sqlalchemy", "starlette"}


def test_the_command_line_loads_nothing_heavy() -> None:
    program = "import sys, labeler_ops.cli; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "labeler_ops.move.commands" in loaded
    assert loaded & HEAVY == set()


def test_nothing_is_cut_off_where_there_is_no_window(tmp_path: Path) -> None:
    """In a mail of cron, a file, or a deployment's log; there a window would have 80 columns."""
    command = [str(Path(sys.executable).with_name("labeler")), "env", "check", "--for", "gateway"]
    plain = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=plain, cwd=tmp_path)
    assert "USER_GATEWAY_CONNECTION_AGE_SECONDS " in done.stdout
