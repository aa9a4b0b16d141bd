"""A process that shares limits, told what to do by lines: `python -m ... SOCKET RPM TPM STREAMS`.

ask N TOKENS     ask for so many requests at once   -> admitted K
settle N TOKENS  so many of them took that much     -> settled N
end              stop well                          -> ended
"""

import asyncio
import sys

from service import clock, tasks
from service.limits.provider_limits import Limits, ProviderLimits, Reservation
from service.limits.shared_limits import SharedLimits
from service.usage.client import Address, Layout, connect

held: list[Reservation] = []


def say(*words: object) -> None:
    """At once."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


async def ask(shared: SharedLimits, number: int, tokens: int) -> None:
    """All at once."""
    got = await asyncio.gather(*(shared.reserve("groq", tokens) for _ in range(number)))
    admitted = [reservation for reservation in got if reservation is not None]
    held.extend(admitted)
    say("admitted", len(admitted))


def settle(shared: SharedLimits, number: int, tokens: int) -> None:
    """Those that were admitted first."""
    for reservation in held[:number]:
        shared.settle(reservation, tokens, clock.monotonic())
    del held[:number]
    say("settled", number)


async def main() -> None:
    """Do as the lines say."""
    path, *limits = sys.argv[1:]
    rpm, tpm, streams = (None if limit == "-" else int(limit) for limit in limits)
    own = Limits()
    own.configure(
        "groq",
        ProviderLimits(requests_per_minute=rpm, tokens_per_minute=tpm, concurrent_streams=streams),
    )
    shared = SharedLimits(own)
    await shared.start(lambda: connect(Address(Layout.SINGLE, path=path)))
    say("ready")
    while line := await asyncio.to_thread(sys.stdin.readline):
        match line.split():
            case ["ask", number, tokens]:
                await ask(shared, int(number), int(tokens))
            case ["settle", number, tokens]:
                settle(shared, int(number), int(tokens))
            case _:
                break
    await shared.stop()
    await tasks.settle()
    say("ended")


if __name__ == "__main__":
    asyncio.run(main())
