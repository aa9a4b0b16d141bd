"""Adds up what each client's attempts cost: consume_usage.py URL STREAM GROUP NAME DATABASE.

Stopped by anything at any moment and started again under the same NAME, it counts each event once.
It ends with an error where Redis or the database is away, so let something start it again.
"""

import json
import sqlite3
import sys
from contextlib import suppress

import redis

url, stream, group, name, file = sys.argv[1:]
broker, db = redis.Redis.from_url(url, decode_responses=True, protocol=2), sqlite3.connect(file)
db.execute("CREATE TABLE IF NOT EXISTS seen (id PRIMARY KEY)")
db.execute("CREATE TABLE IF NOT EXISTS cost (client PRIMARY KEY, nano, unknown)")
ADD = "INSERT INTO cost VALUES (?,?,?) ON CONFLICT DO UPDATE SET nano=nano+?, unknown=unknown+?"
with suppress(redis.ResponseError):  # It exists. From the beginning, never from "$".
    broker.xgroup_create(stream, group, id="0", mkstream=True)
while True:
    own = broker.xreadgroup(group, name, {stream: "0"}, count=500)  # Given to us before a crash.
    dead = broker.xautoclaim(stream, group, name, min_idle_time=60_000, count=500)
    new = broker.xreadgroup(group, name, {stream: ">"}, count=500, block=1_000)
    # What is of another major version stays unacknowledged, for a newer reader.
    entries = {k: f for k, f in [*own[0][1], *dead[1], *(new and new[0][1])] if f.get("v") == "1"}
    with db:  # One transaction: an id is noted if and only if its cost is added.
        for fields in entries.values():
            event = json.loads(fields["e"])
            if db.execute("INSERT OR IGNORE INTO seen VALUES (?)", [event["id"]]).rowcount:
                cost = event["data"]["cost_nano_usd"]  # Of winners and losers; null is unknown.
                db.execute(ADD, [event["subject"] or "", *[cost or 0, cost is None] * 2])
    if entries:
        broker.xack(stream, group, *entries)
