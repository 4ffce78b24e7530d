"""The planted fault: a journal leader that does not wait for open writers. Read by every process of an attacked cell.

It stands here, and not behind a switch in the leader, because no production process may be able to do this.
"""

from chassis.journal import horizon

horizon.still_open = lambda waiting, writers: frozenset()
