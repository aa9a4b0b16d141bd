"""What lies in Redis of the providers' limits: the keys, and the scripts that write them.

`COUNT` is all that is ever done to a provider's account, in one atomic step by the server's clock:
what processes admitted while the server was away, what became of attempts, and new requests, each
of them wholly or not at all.

A minute is a bucket that drains steadily (GCRA, kept as what is in the bucket rather than as the
time at which it is empty): it holds as much as the limit and empties at the limit per minute, so
within t seconds from an empty one exactly limit + floor(t x limit / 60) come through. It is kept in
units of a sixty-millionth, as so many run out in a microsecond per unit of limit: every figure is
an integer, and exact up to 150 million tokens a minute. A sliding window, as one process counts
for itself, would want an entry per slice and limit; this is five numbers.

A reservation is a member of a sorted set, scored by the end of its lease: who is not settled by
then (a process that was killed) is dropped by whatever call comes next. What becomes of an attempt
is counted only where its reservation could be removed, so once; what asks is admitted only where
there is none of that name yet, so a call whose reply was lost can be made again. Giving back works
only as long as the bucket has not been empty since: what has drained is not in it any more.

    {p:<provider>}:limits   hash: at (Unix microseconds), requests and tokens (in the bucket, times
                            60,000,000), requests_empty and tokens_empty (when each was last empty)
    {p:<provider>}:held     sorted set: reservation -> end of its lease (Unix microseconds)
    tailrace:replicas       sorted set: process -> when it last told of itself (Unix microseconds)

The first two lie in one slot of a cluster, and vanish by themselves when they say nothing any more.
"""

from typing import Final

from service.usage.scripts import Script

REPLICAS: Final = "tailrace:replicas"


def keys(provider: str) -> list[str]:
    """Of a provider's account."""
    return [f"{{p:{provider}}}:limits", f"{{p:{provider}}}:held"]


COUNT: Final = Script.of("""
-- KEYS: limits, held
-- ARGV: requests and tokens a minute, streams at once (-1: no limit), then entries of five:
--   'ask', reservation, tokens, lease in us, requests
--   'own', reservation, tokens, lease in us, requests
--   'end', reservation, tokens to add, when it was counted in us, requests to add
-- Returns {now, requests, tokens, streams, for each entry 0 or 1}
local UNIT = 60000000
local call, limits, held = redis.call, KEYS[1], KEYS[2]
local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local stored = call(
  'HMGET', limits, 'at', 'requests', 'requests_empty', 'tokens', 'tokens_empty')
local since = math.max(0, now - (tonumber(stored[1]) or now))

local function bucket(limit, inside, empty)
  local one = {limit = tonumber(limit), inside = 0, empty = now}
  if one.limit >= 0 then one.inside = math.max(0, (tonumber(inside) or 0) - since * one.limit) end
  if one.inside > 0 then one.empty = tonumber(empty) end
  return one
end
local requests = bucket(ARGV[1], stored[2], stored[3])
local tokens = bucket(ARGV[2], stored[4], stored[5])
local most = tonumber(ARGV[3])

local function fits(one, amount)
  return one.limit < 0 or one.inside + amount * UNIT <= one.limit * UNIT
end
local function add(one, amount, counted)
  if one.limit >= 0 and (amount > 0 or counted >= one.empty) then
    one.inside = math.max(0, one.inside + amount * UNIT)
  end
end
local function hold(name, lease, more_requests, more_tokens)
  call('ZADD', held, now + lease, name)
  add(requests, more_requests, now)
  add(tokens, more_tokens, now)
  return 1
end

call('ZREMRANGEBYSCORE', held, '-inf', now)
local reply = {}
for i = 4, #ARGV, 5 do
  local verb, name, amount = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2])
  local when, count = tonumber(ARGV[i + 3]), tonumber(ARGV[i + 4])
  local done = 0
  if verb == 'end' then
    done = call('ZREM', held, name)
    if done == 1 then
      add(requests, count, when)
      add(tokens, amount, when)
    end
  elseif call('ZSCORE', held, name) then
    done = verb == 'ask' and 1 or 0
  elseif verb == 'own' then
    done = hold(name, when, count, amount)
  elseif fits(requests, count) and fits(tokens, amount)
      and (most < 0 or call('ZCARD', held) < most) then
    done = hold(name, when, count, amount)
  end
  reply[#reply + 1] = done
end

if #reply > 0 then
  call('HSET', limits, 'at', now,
    'requests', requests.inside, 'requests_empty', requests.empty,
    'tokens', tokens.inside, 'tokens_empty', tokens.empty)
  local full = math.max(requests.inside / math.max(1, requests.limit),
    tokens.inside / math.max(1, tokens.limit))
  call('PEXPIRE', limits, 60000 + math.ceil(full / 1000))
  local last = call('ZREVRANGE', held, 0, 0, 'WITHSCORES')[2]
  if last then call('PEXPIREAT', held, math.ceil(last / 1000)) end
end
return {now, requests.inside, tokens.inside, call('ZCARD', held), unpack(reply)}
""")
"""Keeps a provider's account; KEYS `keys`. Replies with what `account.Counted` reads."""

PRESENT: Final = Script.of("""
-- KEYS: replicas
-- ARGV: the process that tells of itself, microseconds after which one that does not is forgotten
-- Returns how many there are
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
redis.call('PEXPIRE', KEYS[1], math.ceil(ARGV[2] / 1000))
return {redis.call('ZCARD', KEYS[1])}
""")
"""Counts the processes; KEYS `REPLICAS`."""

GONE: Final = Script.of("""
-- KEYS: replicas
-- ARGV: the process that ends
return {redis.call('ZREM', KEYS[1], ARGV[1])}
""")
"""Forgets a process; KEYS `REPLICAS`."""
