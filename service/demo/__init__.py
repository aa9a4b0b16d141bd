"""A made-up week: usage as a busy deployment's would be, to look at the pages without any key.

`traffic` says who asks when and for what, `attempts` what became of it and what it would have cost,
`load` writes that into a data folder's journal, where the next service finds it like any other.
"""
