"""What a consumer does in Redis by script: take a batch, acknowledge it, bury an entry.

`TAKE` is XREADGROUP whose reply is two strings instead of ten for each entry, all of them in one
behind the list of their lengths. redis-py's parser that is written in Python takes 40 us for each
entry, most of what counting it costs, and on the event loop; two strings take 3 us an entry, and a
thread cuts them up. The lengths are MessagePack, which Lua writes and msgspec reads natively. The
strings are not: MessagePack's own have to be text, and what is in a stream may be anything.

`ACKNOWLEDGE` is one XACK for the whole batch, whose ids come as one string for the same reason, and
the HSET that says how far the producers are.

`BURY` acknowledges an entry and appends it to the dead letters, for who takes it from the group's
list, so it may be sent twice. That stream is bounded; the database's table holds every letter.
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any, Final

import msgspec

from service.usage.batch import Entry
from service.usage.client import Client
from service.usage.rollups import Letter
from service.usage.scripts import Keys, Script

DEAD: Final = 10_000
"""Entries that the dead letters' stream holds, about."""

Packed = tuple[bytes, bytes]
"""Lengths, and what is so long."""


async def take(client: Client, keys: Keys, group: str, consumer: str, count: int) -> Packed | None:
    """So many entries at most that nobody was given yet; None where there are none."""
    found: list[bytes] | None = await _TAKE.run(client, [keys.stream], [group, consumer, count])
    return None if found is None else (found[0], found[1])


def unpacked(packed: Packed) -> list[Entry]:
    """What `take` got: first deliveries."""
    lengths, strings = _LENGTHS.decode(packed[0]), packed[1]
    ends = pairwise(accumulate(lengths, initial=0))
    cut = [strings[start:end] for start, end in ends]
    entries = []
    at = 0
    while at < len(cut):
        after = at + 2 + int(cut[at + 1])
        fields = cut[at + 2 : after]
        entries.append(
            Entry(cut[at].decode(), dict(zip(fields[::2], fields[1::2], strict=True)), 1)
        )
        at = after
    return entries


async def acknowledge(
    client: Client, keys: Keys, group: str, ids: Sequence[str], positions: Mapping[str, int]
) -> None:
    """Acknowledge entries, and say how far their producers are now."""
    told = [value for position in positions.items() for value in position]
    await _ACKNOWLEDGE.run(client, [keys.stream, keys.applied], [group, " ".join(ids), *told])


async def bury(client: Client, keys: Keys, group: str, key: str, letter: Letter) -> None:
    """Acknowledge an entry, and put what was written down of it to the dead letters."""
    await _BURY.run(client, [keys.stream, keys.dead], [group, key, DEAD, *_shown(letter)])


def _shown(letter: Letter) -> Sequence[Any]:
    return [
        *("p", letter.producer, "s", letter.seq, "e", letter.body),
        *("reason", letter.reason, "deliveries", letter.deliveries),
    ]


_LENGTHS: Final = msgspec.msgpack.Decoder(list[int])


_TAKE: Final = Script.of("""
-- KEYS: stream
-- ARGV: group, consumer, most entries
-- Returns nil, or {lengths, strings}: of each entry the id, how many strings follow, and these
local found = redis.call(
  'XREADGROUP', 'GROUP', ARGV[1], ARGV[2], 'COUNT', ARGV[3], 'STREAMS', KEYS[1], '>')
if not found then return false end
local lengths, strings, n = {}, {}, 0
local function add(value)
  n = n + 1
  lengths[n], strings[n] = #value, value
end
for _, entry in ipairs(found[1][2]) do
  add(entry[1])
  add(tostring(#entry[2]))
  for _, value in ipairs(entry[2]) do add(value) end
end
return {cmsgpack.pack(lengths), table.concat(strings)}
""")

_ACKNOWLEDGE: Final = Script.of("""
-- KEYS: stream, applied
-- ARGV: group, ids with a space between two, then producers and positions
local ids = {}
for id in string.gmatch(ARGV[2], '%S+') do ids[#ids + 1] = id end
if #ids > 0 then redis.call('XACK', KEYS[1], ARGV[1], unpack(ids)) end
if #ARGV > 2 then redis.call('HSET', KEYS[2], unpack(ARGV, 3)) end
return #ids
""")

_BURY: Final = Script.of("""
-- KEYS: stream, dead letters
-- ARGV: group, entry, most dead letters, then fields and values
if redis.call('XACK', KEYS[1], ARGV[1], ARGV[2]) == 0 then return 0 end
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], '*', 'id', ARGV[2], unpack(ARGV, 4))
return 1
""")
