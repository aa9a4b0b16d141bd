"""What lies in Redis of streams that several processes serve: keys, and the scripts that write.

In one slot, `{r<shard>}`, lie the buffers of the shard's streams and, for each process, a lease and
an inbox; so one script can append to many buffers at once, which is what a process with many
streams does a hundred times a second. A key per stream in a slot of its own would need a call each.
One shard does for a single server, a cluster has several.

    {r0}:<stream>:buf    stream: runs of log entries; an entry's id is the number after its last one
    {r0}:<stream>:meta   hash: owner, next, end, first and fold (of what was dropped), grace,
                         question (what the stream was asked)
    {r0}:<stream>:was    the stream's name, kept longer than the stream
    {r0}:<process>:lease there while the process lives
    {r0}:<process>:in    stream: who follows, what is to be cancelled
    {r0}:key:<digest>    an Idempotency-Key: stream, digest of the request, process
    {r0}:chat:<digest>   hash: the chat's newest stream, whether its end was told

`KEEP` appends a run only where it continues what is there and otherwise says what is: a reply that
is lost and a server that forgot its last second are both met by sending from that number again, and
a buffer never has a gap that is not marked by `first`. `END` writes a dead process's ending if
nobody else has and its lease is not there; a process that wakes up after that finds `end` set to
`lost` and is told -1.
"""

import hashlib
import zlib
from dataclasses import dataclass
from typing import Final

from redis.asyncio import RedisCluster

from service.usage.client import Client
from service.usage.scripts import Script

SHARDS: Final = 4
"""On a cluster. For each one every process has a connection that waits for news."""

FENCED: Final = -1
"""KEEP: somebody else has ended the stream."""

GONE: Final = -2
"""END: there is no such buffer."""


@dataclass(frozen=True, slots=True)
class Shard:
    """One slot's keys."""

    number: int

    def stream(self, stream_id: str) -> "Buffer":
        """Where a stream's events lie."""
        return Buffer(f"{{r{self.number}}}:{stream_id}")

    def lease(self, process: str) -> str:
        """Key of what is there while a process lives."""
        return f"{{r{self.number}}}:{process}:lease"

    def inbox(self, process: str) -> str:
        """Key of the stream of messages to a process."""
        return f"{{r{self.number}}}:{process}:in"

    def claim(self, key: str) -> str:
        """Key of an Idempotency-Key, which is not stored as it is: it may say something."""
        return f"{{r{self.number}}}:key:{_digest(key)}"

    def chat(self, chat: str) -> str:
        """Key of where a chat is; its name may say something, too."""
        return f"{{r{self.number}}}:chat:{_digest(chat)}"


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Buffer:
    """The keys of one stream."""

    root: str

    @property
    def entries(self) -> str:
        """Stream: fields `f`, the number of the first entry, and `e`, the entries."""
        return f"{self.root}:buf"

    @property
    def meta(self) -> str:
        """Hash: what there is to know of it."""
        return f"{self.root}:meta"

    @property
    def was(self) -> str:
        """String: that it was there."""
        return f"{self.root}:was"

    @property
    def all(self) -> list[str]:
        """In the scripts' order."""
        return [self.entries, self.meta, self.was]


@dataclass(frozen=True, slots=True)
class Shards:
    """All the slots."""

    all: tuple[Shard, ...]

    @classmethod
    def of(cls, client: Client) -> "Shards":
        """As many as this Redis wants."""
        count = SHARDS if isinstance(client, RedisCluster) else 1
        return cls(tuple(map(Shard, range(count))))

    def find(self, name: str) -> Shard:
        """Where a stream, an Idempotency-Key or a chat belongs."""
        return self.all[zlib.crc32(name.encode()) % len(self.all)]


KEEP: Final = Script.of("""
-- KEYS: for each stream: buf, meta, was
-- ARGV: owner; milliseconds that a running stream is kept, an ended one, its name beyond that;
-- then for each stream: grace, question, place of the fold, fold, first, next, whether it ends,
-- entries
-- Returns what comes next for each: the number, or -1
local call, replies, ttl = redis.call, {}, {tonumber(ARGV[2]), tonumber(ARGV[3])}
for i = 0, #KEYS / 3 - 1 do
  local buf, meta, was = KEYS[3 * i + 1], KEYS[3 * i + 2], KEYS[3 * i + 3]
  local grace, question, place, fold, first, after, ends, entries =
    unpack(ARGV, 8 * i + 5, 8 * i + 12)
  local known = call('HMGET', meta, 'owner', 'next', 'end')
  local upto = tonumber(known[2] or '0')
  if known[3] == 'lost' then
    upto = -1
  else
    if not known[1] then
      call('DEL', buf) -- of a hash that Redis has dropped alone: its numbers would be in the way
      call('HSET', meta, 'owner', ARGV[1], 'grace', grace, 'next', 0)
      call('SET', was, '1', 'PX', ttl[1] + tonumber(ARGV[4]))
    end
    if question ~= '' then call('HSET', meta, 'question', question) end
    if fold ~= '' then
      place = tonumber(place)
      call('XTRIM', buf, 'MINID', place + 1)
      upto = math.max(upto, place)
      call('HSET', meta, 'first', place, 'fold', fold, 'next', upto)
    end
    if entries ~= '' and tonumber(first) == upto then
      call('XADD', buf, after .. '-0', 'f', first, 'e', entries)
      call('HSET', meta, 'next', after)
      upto = tonumber(after)
      if ends == '1' then
        call('HSET', meta, 'end', 'done')
        call('SET', was, '1', 'PX', ttl[2] + tonumber(ARGV[4]))
        known[3] = 'done'
      end
    end
    local kept = known[3] and ttl[2] or ttl[1]
    call('PEXPIRE', buf, kept)
    call('PEXPIRE', meta, kept)
  end
  replies[i + 1] = upto
end
return replies
""")
"""Appends to buffers; KEYS each stream's `Buffer.all`. Replies with each one's next number, FENCED
where it was ended."""

END: Final = Script.of("""
-- KEYS: buf, meta, was, the owner's lease
-- ARGV: first, next, entries, milliseconds that it is kept, its name beyond that
-- Returns the number that comes next, or -2 where there is no buffer
local call, meta = redis.call, KEYS[2]
local known = call('HMGET', meta, 'next', 'end')
if not known[1] then return -2 end
local upto = tonumber(known[1])
if known[2] or upto ~= tonumber(ARGV[1]) or call('EXISTS', KEYS[4]) == 1 then return upto end
call('XADD', KEYS[1], ARGV[2] .. '-0', 'f', ARGV[1], 'e', ARGV[3])
call('HSET', meta, 'next', ARGV[2], 'end', 'lost')
call('PEXPIRE', KEYS[1], ARGV[4])
call('PEXPIRE', meta, ARGV[4])
call('SET', KEYS[3], '1', 'PX', tonumber(ARGV[4]) + tonumber(ARGV[5]))
return tonumber(ARGV[2])
""")
"""Ends the stream of a process that is gone, unless it has changed since the caller looked."""

BEAT: Final = Script.of("""
-- KEYS: our lease, then for each process that we follow: its lease, its inbox
-- ARGV: milliseconds of a lease, of an inbox, then for each of them a message, '' for none
-- Returns whether our lease was there, then whether each of theirs is
local call = redis.call
local replies = {call('EXISTS', KEYS[1])}
call('SET', KEYS[1], '1', 'PX', ARGV[1])
for i = 1, (#KEYS - 1) / 2 do
  local lease, inbox, message = KEYS[2 * i], KEYS[2 * i + 1], ARGV[i + 2]
  replies[i + 1] = call('EXISTS', lease)
  if message ~= '' and replies[i + 1] == 1 then
    call('XADD', inbox, 'MAXLEN', '~', 10000, '*', 'm', message)
    call('PEXPIRE', inbox, ARGV[2])
  end
end
return replies
""")
"""Renews our lease, says whom we follow and asks who lives."""

CLAIM: Final = Script.of("""
-- KEYS: the Idempotency-Key's
-- ARGV: what it is to hold, milliseconds, what it may hold and be taken over from, or ''
-- Returns what it holds now
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[3] then return held end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]
""")
"""Takes an Idempotency-Key that nobody has, or that is known to have come to nothing."""

RELEASE: Final = Script.of("""
-- KEYS: the Idempotency-Key's
-- ARGV: what it must hold
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
""")
"""Gives an Idempotency-Key back."""

AT: Final = Script.of("""
-- KEYS: a chat each
-- ARGV: milliseconds that a chat is kept, one whose end was told, then for each chat: its stream,
-- '1' where that one's end was told
local call = redis.call
for i = 1, #KEYS do
  local stream, told = ARGV[2 * i + 1], ARGV[2 * i + 2]
  local known = call('HMGET', KEYS[i], 'stream', 'told')
  if known[1] == stream and known[2] == '1' then told = '1' end
  if not known[1] or known[1] <= stream then
    call('HSET', KEYS[i], 'stream', stream, 'told', told)
    call('PEXPIRE', KEYS[i], told == '1' and ARGV[2] or ARGV[1])
  end
end
return #KEYS
""")
"""Says where chats are, unless something newer is known."""
