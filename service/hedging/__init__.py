"""Attempts, and the race between them.

`race` decides who starts, who wins and who is cancelled, without I/O and with `now` as an argument;
`deadlines` does the same for one attempt's five time limits. `hedger` is the gate of every hedge,
and remembers what attempts took (`delay`, `budget`, `exclusions`, `overload`). `attempt` is the
task that owns one connection from open to close; `runner` is the shell that carries out what the
race decides and writes the stream log; `continuation` asks for the rest of an answer that broke.
"""
