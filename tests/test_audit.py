"""`make audit`: an SBOM without a network, and never "clean" where nobody was asked."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
_AUDIT = [sys.executable, str(ROOT / "requirements" / "audit.py")]
# A proxy that nobody listens on: the one way to take the network away from a child process without being root.
_NO_NETWORK = {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": ""}


def _run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, **_NO_NETWORK, **{name.lower(): value for name, value in _NO_NETWORK.items()}}
    return subprocess.run(
        [*_AUDIT, *arguments], env=environment, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.fixture(scope="module")
def sbom(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What `--sbom-only` writes: eight seconds of work."""
    path = tmp_path_factory.mktemp("audit") / "sbom.json"
    done = _run("--sbom-only", "--sbom", str(path))
    assert done.returncode == 0, done.stderr
    return path.read_bytes()


def test_the_sbom_names_what_the_image_holds(sbom: bytes) -> None:
    written = json.loads(sbom)
    lock = (ROOT / "requirements" / "runtime.txt").read_text()
    pinned = {line.split("==")[0] for line in lock.splitlines() if "==" in line and not line.startswith(" ")}
    assert written["bomFormat"] == "CycloneDX"
    assert written["metadata"]["component"]["name"] == "image-labeler"
    assert {component["name"] for component in written["components"]} == pinned
    assert all(component["version"] for component in written["components"])


def test_without_a_network_nothing_is_called_clean_and_the_sbom_is_the_same(tmp_path: Path, sbom: bytes) -> None:
    again = tmp_path / "sbom.json"
    done = _run("--sbom", str(again))
    assert done.returncode == 3, done.stdout + done.stderr
    assert "requirements/runtime.txt: cannot reach the data base of vulnerabilities" in done.stderr
    assert again.read_bytes() == sbom


@pytest.mark.parametrize(
    ("found", "status", "said"),
    [
        ([{"name": "a", "version": "1", "vulns": []}], 0, "nothing is known against 1 packages"),
        ([{"name": "a", "version": "1", "vulns": [{"id": "PYSEC-1"}]}], 1, "a 1: PYSEC-1"),
        ([{"name": "a", "version": "1", "vulns": []}, {"name": "b", "skip_reason": "not found"}], 3, "for b"),
        ([], 3, "for anything"),
    ],
)
def test_what_was_not_looked_up_is_not_clean(
    found: list[dict[str, object]], status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert runpy.run_path(_AUDIT[1])["judge"]("lock", found) == status
    captured = capsys.readouterr()
    assert said in captured.out + captured.err
