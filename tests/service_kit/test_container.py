"""Cores and memory as container runtimes tell them: files of control groups, laid out as they are on real hosts."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from service_kit import container

GIB = 1024**3


def lay_out(root: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


@pytest.fixture
def many_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host with 64 cores, which a container of two sees too."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(64)), raising=False)


@pytest.mark.usefixtures("many_cores")
@pytest.mark.parametrize(
    ("files", "cores", "memory"),
    [
        pytest.param(
            {
                "proc/self/cgroup": "0::/",
                "sys/fs/cgroup/cpu.max": "200000 100000",
                "sys/fs/cgroup/memory.max": str(GIB),
            },
            2,
            GIB,
            id="version 2, inside of a container",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "0::/kubepods/pod1/abc",
                "sys/fs/cgroup/kubepods/pod1/abc/cpu.max": "max 100000",
                "sys/fs/cgroup/kubepods/pod1/abc/memory.max": "max",
                "sys/fs/cgroup/kubepods/pod1/cpu.max": "150000 100000",
                "sys/fs/cgroup/kubepods/pod1/memory.max": str(GIB // 2),
                "sys/fs/cgroup/kubepods/memory.max": str(8 * GIB),
            },
            2,
            GIB // 2,
            id="version 2, the limit is the pod's, and a part of a core",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "12:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": str(GIB),
            },
            1,
            GIB,
            id="version 1, where the container sees its own group as the root",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "12:memory:/user\n4:cpu,cpuacct:/user\n0::/user",
                "sys/fs/cgroup/cpu,cpuacct/user/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/cpu,cpuacct/user/cpu.cfs_period_us": "100000",
                "sys/fs/cgroup/memory/user/memory.limit_in_bytes": "9223372036854771712",
            },
            64,
            None,
            id="version 1, without a limit",
        ),
        pytest.param({}, 64, None, id="no control groups"),
        pytest.param(
            {"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "nonsense", "sys/fs/cgroup/memory.max": ""},
            64,
            None,
            id="what nobody can read",
        ),
    ],
)
def test_limits_of_the_container(tmp_path: Path, files: Mapping[str, str], cores: int, memory: int | None) -> None:
    root = lay_out(tmp_path, files)
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert container.cores(root) == cores
    assert container.memory_bytes(root) == (machine if memory is None else memory)


def test_a_pinned_process_counts_the_cores_it_is_pinned_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {3}, raising=False)
    assert container.cores(tmp_path) == 1
