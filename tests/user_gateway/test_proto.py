"""The contract: generated code is current, buf is content, and nothing landed was broken."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2

from proto.users.v1 import user_gateway_pb2 as pb

ROOT = Path(__file__).resolve().parents[2]
PROTO = Path("proto/users/v1/user_gateway.proto")
LANDED = Path("proto/users/v1/user_gateway.binpb")
GENERATED = ("user_gateway_pb2.py", "user_gateway_pb2.pyi", "user_gateway_pb2_grpc.py")


def buf(*arguments: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    program = shutil.which("buf", path=str(Path(sys.executable).parent)) or "buf"
    return subprocess.run([program, *arguments], cwd=cwd, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(
    "command", [("lint", "proto"), ("format", "-d", "--exit-code", "proto")], ids=["lint", "format"]
)
def test_buf_is_content(command: tuple[str, ...]) -> None:
    answer = buf(*command)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_the_generated_code_is_current(tmp_path: Path) -> None:
    options = [f"--{kind}_out={tmp_path}" for kind in ("python", "pyi", "grpc_python")]
    subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", "-I.", *options, str(PROTO)], cwd=ROOT, check=True, timeout=60
    )
    for name in GENERATED:
        assert (tmp_path / PROTO.parent / name).read_text() == (ROOT / PROTO.parent / name).read_text(), (
            f"{name} is out of date: run `make proto`"
        )


def test_nothing_landed_is_broken() -> None:
    answer = buf("breaking", "proto", "--against", LANDED)
    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("int64 id = 1;", "string id = 1;"),
        ("optional string full_name = 2;", "optional string full_name = 22;"),
        ("string email = 6;", "string mail = 6;"),
        ("rpc SearchUsers(", "rpc FindUsers("),
        ("USER_VIEW_FULL = 2;", "USER_VIEW_FULL = 3;"),
    ],
)
def test_a_breaking_change_is_noticed(tmp_path: Path, before: str, after: str) -> None:
    shutil.copytree(ROOT / "proto", tmp_path / "proto", ignore=shutil.ignore_patterns("*.py*"))
    changed = tmp_path / PROTO
    text = changed.read_text()
    assert before in text
    changed.write_text(text.replace(before, after, 1))
    answer = buf("breaking", "proto", "--against", ROOT / LANDED, cwd=tmp_path)
    assert answer.returncode != 0


def test_the_landed_descriptor_is_of_this_contract() -> None:
    landed = descriptor_pb2.FileDescriptorSet.FromString((ROOT / LANDED).read_bytes())
    files = {file.name: file for file in landed.file}
    service = files["users/v1/user_gateway.proto"].service[0]
    now = pb.DESCRIPTOR.services_by_name["UserGatewayService"]
    assert {method.name for method in service.method} <= {method.name for method in now.methods}
