"""What every attempt used and cost: written down once, published, counted once.

* `cost`, `record`  an attempt's facts -> money in integers, and the usage event.
* `slot`, `journal` where it is safe: a file of this process' own, synced before an answer ends.
"""
