"""What every command of `labeler` has to wait for before it begins."""

import subprocess
import sys

# Each takes from a fifth to half a second to load; the commands that need one load it themselves.
HEAVY = {"aiobotocore", "alembic", "httpx", "numpy", "PIL", "sqlalchemy", "starlette"}


def test_the_command_line_loads_nothing_heavy() -> None:
    program = "import sys, labeler_ops.cli; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "labeler_ops.move.commands" in loaded
    assert loaded & HEAVY == set()
