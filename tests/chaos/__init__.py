"""What must hold while everything is killed, cut, filled and frozen: `python -m tests.chaos`.

* `scenario`  what a scenario is, and what it has to show.
* `scenarios` all of them by number, and the tests that prove a number elsewhere.
* `stage`     what a scenario plays on: an engine, writers, consumers and sums in one folder.
* `worker`    one of the processes on it: started, heard, killed.
* `writing`   the process that has attempts: a journal and its publisher.
* `counting`  the process that counts them: a consumer of the stream.
* `attempt`   an attempt, of which everything follows from its id.
* `ledger`    what a writer did, written down where nothing of it is lost; and the verdict.
"""
