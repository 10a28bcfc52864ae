"""Whether the store keeps its promises when processes die: ``python -m tests.kills --help``.

Processes tick a simulated clock, are killed with SIGKILL or frozen with SIGSTOP at random points, and are replaced. At
the end what the tasks did is compared with what the store says that they did.
"""
