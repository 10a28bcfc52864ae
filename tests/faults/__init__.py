"""Whether anything is silently wrong while faults come and go: ``python -m tests.faults --help``.

Two servers tick a simulated clock over one database. Faults chosen at random begin and end, one after another. After
each minute each due task has run, or health has named it within two ticks, and the history within ``catch_up``.
"""
