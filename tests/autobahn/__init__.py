"""Other people's test suite for WebSockets, Autobahn|Testsuite: `python -m tests.autobahn`.

* `echo`    the service with one route more, which repeats what it is sent, as the suite wants it.
* `suite`   the suite itself: found a Python 2.7, installed, run, and its report read.
* `verdict` what a report comes to, held against what is known of aiohttp.
"""
