"""What lies in Redis: the names of the keys, and the two scripts that write the stream.

`PUBLISH` appends a run of events at most once. The stream and, in a hash beside it, each producer's
high-water mark lie on one node and are written by one atomic script, so a server that loses its
last writes, fails over to a replica that lags or is emptied forgets both alike: stream and mark are
always a consistent prefix of each other. A reply that is lost costs nothing, the events are sent
again and those below the mark are passed over; a mark that is lower than what the publisher knows
tells it to go back. This needs no more than Redis 5 has. Redis 8.6's idempotent XADD does less: it
remembers for a bounded time, and cannot tell of a gap.

`TRIM` cuts the stream below what every listed group has acknowledged and nothing else. MAXLEN does
not look at groups, and deletes what nobody has read yet. It reads the groups and trims in one step:
between two commands a consumer could be given what the second one deletes.

On a cluster there are several such sets of keys, `{u0}:usage` and on, each in one slot. A producer
belongs to one of them; sums commute, so consumers need no order between producers. How many there
are is written down once, by whoever comes first.
"""

import hashlib
import zlib
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio import RedisCluster
from redis.exceptions import NoScriptError

from service.usage.client import Client

SHARDS: Final = 16
"""Sets of keys on a cluster that has none yet."""

META: Final = "tailrace:usage:meta"
"""Hash: `shards`, on a cluster."""

AHEAD: Final = -1
"""PUBLISH: the run begins beyond the mark, so Redis has lost events."""

FULL: Final = -2
"""PUBLISH: the stream holds as many entries as it may."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The stream, and what lies beside it in the same slot."""

    stream: str

    @property
    def marks(self) -> str:
        """Hash: producer -> sequence number of the last event in the stream."""
        return f"{self.stream}:hwm"

    @property
    def applied(self) -> str:
        """Hash: producer -> sequence number up to which all is in the aggregate."""
        return f"{self.stream}:applied"

    @property
    def dead(self) -> str:
        """Stream: events that could not be aggregated."""
        return f"{self.stream}:dead"


@dataclass(frozen=True, slots=True)
class Shards:
    """Every set of keys there is: one, or a cluster's."""

    all: tuple[Keys, ...]

    def of(self, producer: str) -> Keys:
        """Where a producer's events go."""
        return self.all[zlib.crc32(producer.encode()) % len(self.all)]


UNSHARDED: Final = Shards((Keys("tailrace:usage"),))


async def shards(client: Client) -> Shards:
    """The sets of keys, as the first publisher on this Redis has laid down."""
    if not isinstance(client, RedisCluster):
        return UNSHARDED
    await client.hsetnx(META, "shards", str(SHARDS))
    stored = await client.hget(META, "shards")
    return Shards(tuple(Keys(f"{{u{shard}}}:usage") for shard in range(int(stored or SHARDS))))


@dataclass(frozen=True, slots=True)
class Script:
    """Lua that is sent by its digest, and whole to a server that does not know it yet.

    Not redis-py's `Script`: on a cluster that loads into every master, for which all must be up.
    """

    text: str
    digest: str

    @classmethod
    def of(cls, text: str) -> "Script":
        """With its digest: EVALSHA names scripts by their SHA-1."""
        return cls(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())

    async def run(self, client: Client, keys: list[str], args: list[Any]) -> Any:  # noqa: ANN401 - Redis' own types
        """The reply. `keys` lie in one slot."""
        try:
            return await client.evalsha(self.digest, len(keys), *keys, *args)
        except NoScriptError:
            return await client.eval(self.text, len(keys), *keys, *args)


PUBLISH: Final = Script.of("""
-- KEYS: stream, marks
-- ARGV: producer, after, first, schema major, most entries, then the events `first` and on
-- Between `after` and `first` the journal holds nothing (any more).
-- Returns {what happened, the mark}
local mark = tonumber(redis.call('HGET', KEYS[2], ARGV[1]) or '0')
local first = tonumber(ARGV[3])
local last = first + #ARGV - 6
if tonumber(ARGV[2]) > mark then return {-1, mark} end
if last <= mark then return {0, mark} end
if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[5]) then return {-2, mark} end
local call, stream, producer, schema, before = redis.call, KEYS[1], ARGV[1], ARGV[4], first - 6
for seq = math.max(first, mark + 1), last do
  call('XADD', stream, '*', 'p', producer, 's', seq, 'v', schema, 'e', ARGV[seq - before])
end
redis.call('HSET', KEYS[2], ARGV[1], last)
return {last - math.max(first - 1, mark), last}
""")
"""Appends events; KEYS `stream`, `marks`. Replies with how many were new, AHEAD or FULL, and the
producer's mark."""

TRIM: Final = Script.of("""
-- KEYS: stream
-- ARGV: milliseconds that entries are kept at least, entries beyond which they are not, groups
-- Returns {entries deleted, entries left, a listed group that does not exist or ''}
local function before(a, b)
  local a_ms, a_n = string.match(a, '(%d+)-(%d+)')
  local b_ms, b_n = string.match(b, '(%d+)-(%d+)')
  if a_ms ~= b_ms then return tonumber(a_ms) < tonumber(b_ms) end
  return tonumber(a_n) < tonumber(b_n)
end
local length = redis.call('XLEN', KEYS[1])
if length == 0 then return {0, 0, ''} end
local delivered = {}
for _, pairs_of in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local group = {}
  for i = 1, #pairs_of, 2 do group[pairs_of[i]] = pairs_of[i + 1] end
  delivered[group['name']] = group['last-delivered-id']
end
local floor
for i = 3, #ARGV do
  local position = delivered[ARGV[i]]
  if not position then return {0, length, ARGV[i]} end
  local smallest = redis.call('XPENDING', KEYS[1], ARGV[i])[2]
  if smallest and before(smallest, position) then position = smallest end
  if not floor or before(position, floor) then floor = position end
end
if not floor then return {0, length, ''} end
if length <= tonumber(ARGV[2]) then
  local now = redis.call('TIME')
  local ms = now[1] * 1000 + math.floor(now[2] / 1000)
  local kept = string.format('%.0f-0', ms - tonumber(ARGV[1]))
  if before(kept, floor) then floor = kept end
end
local deleted = redis.call('XTRIM', KEYS[1], 'MINID', '~', floor)
return {deleted, length - deleted, ''}
""")
"""Deletes what every listed group acknowledged; KEYS `stream`."""
