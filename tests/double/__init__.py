"""The provider double: one server that answers as any of the providers, and plays faults on demand.

Tests and benchmarks point the real SDKs at it by address override; nothing is patched. What it
sends is rendered from a neutral description of an answer into whichever wire format the request's
path asks for, so one script serves all providers.

* `steps`   what happens on a connection, one step at a time: send, wait, stall, cut.
* `answer`  what is said, without any wire format: text, reasoning, tool calls, usage, finish.
* `errors`  the error answer of each kind that each provider gives.
* `wire`    one writer for each wire format, and every provider's manner of speaking it.
* `script`  what to play for a request: an answer or an error, with faults laid over it.
* `faults`  what can go wrong with the bytes: cuts, stalls, drips, wrong headers, compression.
* `paths`   which path belongs to which format, and every provider's base URL.
* `seen`    the record of one request: headers, times, when its client left.
* `exchange`  plays steps on a connection, fast enough for thousands of streams.
* `server`  `Double`: the server, the choice of a script, the log, and what a test can wait for.

`python -m tests.double` runs one as a process. A first test::

    async def test_it_streams(double: Double) -> None:
        gate = Gate()
        double.script(reply("Hello", Wait(gate), " world"))
        ...                      # ask over the address double.url
        seen = await double.seen(1)
        await gate.reached()     # "Hello" was sent, and nothing after it
        gate.open()

The double never sleeps to wait for anything: a `Gate` holds a script where a test wants it, and
every fact a test may want to wait for (a request arrived, its client left, all is quiet) has an
awaitable.
"""
