import asyncio, time, collections
import grpc, pytest
from tests.user_gateway.calls import Calls
from tests.user_gateway import process as gp
from tests.fixtures.users import GATEWAY_TOKEN
from proto.users.v1 import user_gateway_pb2 as pb


@pytest.mark.parametrize("n", range(15))
async def test_it(users_dsn, n):
    p = await gp.start(users_dsn)
    await p.wait_ready()
    ans = collections.Counter()
    details = []
    t0 = time.monotonic()
    async with Calls(p.address, GATEWAY_TOKEN) as calls:

        async def ask(k):
            i = 0
            while True:
                i += 1
                t = time.monotonic() - t0
                try:
                    await calls.stub.GetUser(
                        pb.GetUserRequest(id=1), timeout=10, metadata=(*calls.metadata, ("x-request-id", f"c{k}-{i}"))
                    )
                except grpc.aio.AioRpcError as e:
                    ans[e.code().name] += 1
                    if e.code() != grpc.StatusCode.UNAVAILABLE:
                        details.append(
                            (
                                f"c{k}-{i}",
                                round(t, 3),
                                round(time.monotonic() - t0, 3),
                                e.code().name,
                                e.debug_error_string()[:300],
                            )
                        )
                    return
                ans["OK"] += 1

        a = asyncio.gather(*(ask(k) for k in range(20)))
        while ans["OK"] < 300:
            await asyncio.sleep(0.01)
        p.terminate()
        tt = time.monotonic() - t0
        await a
    code = await p.ended()
    c = collections.Counter(l["code"] for l in p.lines if l["event"] == "call")
    print(n, dict(ans), dict(c), "term", round(tt, 3), code)
    for d in details:
        print("   ", d, [(l["code"], l["milliseconds"]) for l in p.lines if l.get("request_id") == d[0]])
    print([(l["event"], l["timestamp"]) for l in p.lines if l["event"] != "call"])
    await p.kill()
