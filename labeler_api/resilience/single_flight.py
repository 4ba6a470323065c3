"""Single flight: whoever asks for the same user at the same time waits for one and the same call."""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence

from labeler_api.errors import Unavailable
from labeler_api.user_directory.profiles import UserProfile

Flight = asyncio.Task[Mapping[int, UserProfile | None]]


class Flights:
    """The look-ups under way, by the ids that they will bring."""

    def __init__(self) -> None:
        self._under_way: dict[int, Flight] = {}

    def carrying(self, user_id: int) -> Flight | None:
        """Return the flight that brings this id."""
        return self._under_way.get(user_id)

    def launch(self, ids: Sequence[int], look_up: Coroutine[None, None, Mapping[int, UserProfile | None]]) -> Flight:
        """Start a look-up as a task of its own: the first to ask may leave while others wait for the answer."""
        flight = asyncio.get_running_loop().create_task(look_up, name="user look-up")
        for user_id in ids:
            self._under_way[user_id] = flight

        def land(_: Flight) -> None:
            for user_id in ids:
                self._under_way.pop(user_id, None)
            if not flight.cancelled():
                flight.exception()  # seen here, should nobody wait any more

        flight.add_done_callback(land)
        return flight

    async def cancel(self) -> None:
        """End all of them."""
        flights = set(self._under_way.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)


async def landed(flights: set[Flight], timeout: float | None) -> list[Mapping[int, UserProfile | None]]:
    """Wait for flights, at most `timeout` seconds; return what came, without what failed for want of a gateway."""
    if not flights:
        return []
    done, _ = await asyncio.wait(flights, timeout=timeout)
    return [
        flight.result() for flight in done if not flight.cancelled() and not isinstance(flight.exception(), Unavailable)
    ]
