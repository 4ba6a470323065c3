import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from labeler_ops.errors import StackError
from labeler_ops.stack import ports


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as server:
        server.bind((ports.HOST, 0))
        server.listen()
        yield server.getsockname()[1]


def of_the_last_start(count: int) -> list[int]:
    """Ports that a process had chosen which is gone."""
    script = f"from labeler_ops.stack import ports; print(*ports.free_ports({count}))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return [int(port) for port in run.stdout.split()]


def test_free_ports_are_different_and_free() -> None:
    found = ports.free_ports(50)
    assert len(set(found)) == 50
    assert all(map(ports.is_free, found))


def test_free_ports_lie_below_those_that_the_kernel_hands_out() -> None:
    start = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert start < 20_000 or max(ports.free_ports(50)) < start


def test_a_taken_port_is_refused_by_the_name_of_its_variable(taken: int) -> None:
    with pytest.raises(StackError, match=f"port {taken} is taken: set API_PORT") as caught:
        ports.claim(taken, "API_PORT")
    assert "\n" not in str(caught.value)


def test_zero_means_any_free_port() -> None:
    assert ports.is_free(ports.claim(0, "API_PORT"))


def test_a_free_port_is_given_as_asked() -> None:
    (wanted,) = of_the_last_start(1)
    assert ports.claim(wanted, "API_PORT") == wanted


def test_a_port_is_given_to_one_server_only() -> None:
    """Nobody listens there yet when the second server's port is chosen: being free is not enough."""
    api, other = ports.claim(0, "API_PORT"), of_the_last_start(1)[0]
    assert api not in ports.keep_or_find([other, api], 2)
    with pytest.raises(StackError, match=f"port {api} is taken: set USER_GATEWAY_PORT"):
        ports.claim(api, "USER_GATEWAY_PORT")


def test_a_port_is_free_again_right_after_its_server_and_its_connections_closed() -> None:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as every server of ours does
        server.bind((ports.HOST, 0))
        server.listen()
        port = server.getsockname()[1]
        with socket.create_connection((ports.HOST, port)):
            accepted, _ = server.accept()
            accepted.close()  # the server's side closes first: its end stays in TIME_WAIT
    assert ports.is_free(port)


def test_the_ports_of_the_last_start_are_kept_while_they_are_free(taken: int) -> None:
    before = of_the_last_start(2)
    assert ports.keep_or_find(before, 2) == before
    after = ports.keep_or_find([of_the_last_start(1)[0], taken], 2)
    assert taken not in after
    assert len(after) == 2


@pytest.mark.parametrize("nonsense", [[], [1], [5000, 5000]])
def test_remembered_ports_that_make_no_sense_are_replaced(nonsense: list[int]) -> None:
    assert len(set(ports.keep_or_find(nonsense, 2))) == 2


def test_ports_that_another_process_has_chosen_are_not_chosen_again() -> None:
    script = "import sys; from labeler_ops.stack import ports; print(ports.free_port(), flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        theirs = int(other.stdout.readline())
        assert ports.is_free(theirs)  # nobody listens there yet
        with pytest.raises(StackError, match=f"port {theirs} is taken"):
            ports.claim(theirs, "API_PORT")
        assert ports.keep_or_find([theirs], 1) != [theirs]
        other.communicate()
    assert ports.claim(theirs, "API_PORT") == theirs
