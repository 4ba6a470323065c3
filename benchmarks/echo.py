"""The bare grpc.aio server that the gateway is measured beside: one call, the same bytes back, nothing in between.

`python -m benchmarks.echo HEX` answers every `bench.Echo/Get` with these bytes; it writes its port to standard output.
"""

import sys
from typing import Any

import grpc
import uvloop

METHOD = "/bench.Echo/Get"


async def serve(answer: bytes) -> None:
    """Serve until the process is ended."""

    async def get(_request: bytes, _context: object) -> bytes:
        return answer

    service, _, method = METHOD.removeprefix("/").partition("/")
    handlers: dict[str, Any] = {method: grpc.unary_unary_rpc_method_handler(get)}
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(serve(bytes.fromhex(sys.argv[1])))
