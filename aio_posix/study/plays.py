"""Scripts for the model, one for each lesson. Each does what the lesson does, as far as the model
has it.
"""

from __future__ import annotations

PLAYS = {
    1: """
# In flight, queued, cancelled, complete: the life of a request.
read A 5
read B 5
cancel B
feed 5
settle
""",
    2: """
# The buffer belongs to A until a helper has completed it, whatever the program forgets.
read A 5
feed 5
settle
""",
    3: """
# One helper does five reads of a file, one after another; each completion starts a thread.
files 8
read A 8, read B 8, read C 8, read D 8, read E 8
settle
""",
    4: """
# A read of a silent socket: aio_read returns, a helper waits in its place.
read A 5
settle
feed 5
settle
""",
    5: """
# Three reads and a write of one socket keep one helper; a dup() has a queue of its own.
read A 5
read B 5
read C 5
write D 5
write E 6     # descriptor 6: a dup() of 5
settle
feed 5
settle
""",
    6: """
# A small pool, all of it blocked: a read of a file waits for a byte on somebody's socket.
threads 2
files 8
read A 5
read B 6
read C 7
read F 8
settle
feed 5        # the helper that this frees takes C, which was first
settle
feed 6
settle
""",
    7: """
# One helper is left idle, and a list of four comes: each helper starts the next.
read A 5
feed 5
settle
read B 5, read C 6, read D 7, read E 9
step
step
settle
""",
    8: """
# Priorities sort what waits behind a head, and the heads; nothing overtakes a head.
threads 1
files 5 6 7
read gate 9
write A 5 prio 10
write B 6 prio 5
write C 5
write D 7 prio 2
write E 5 prio 5
fsync S 5     # goes before E, which is less urgent
feed 9
settle
""",
    9: """
# Reads of a file never wait; a read of a socket waits for its peer.
files 8
read A 8
read B 5
settle
feed 5
settle
""",
    10: """
# An echo: read, told, write, read again.
read A 5
feed 5
settle
write B 5
settle
read C 5
""",
    11: """
# Fifty reads would be done in this order, and their signals queued in it.
files 8
read A 8
read B 8
read C 8
settle
""",
    12: """
# A list is one call: all of it is queued before a helper looks.
threads 1
read A 5, write B 6, read C 5
settle
feed 5
settle
feed 5
settle
""",
    13: """
# The head that no helper has taken is cancelled: what is behind it never runs (a bug of glibc).
threads 1
files 7
read gate 5
write A 7
write B 7
cancel A
feed 5
settle
""",
    14: """
# A fork copies this moment, with one idle helper in it; the helper itself stays in the parent.
files 8
read A 8
settle
""",
    15: """
# A request of the same descriptor passes all that wait before it finds its place.
read A 5
read B 5
read C 5
read D 5
""",
    16: """
# What one turn of the loop asked for is one list; a lane is a descriptor with its own queue.
files 8 9
read A 8, read B 8, read C 9, read D 9
step
step
settle
""",
    17: """
# However the program is told, the helper does it before it takes more work.
files 8
read A 8, read B 8, read C 8
settle
""",
    18: """
# A pool that standard input and two silent clients hold: the listener's read waits.
threads 3
files 4       # the listener: its read never waits, for it fails
read stdin 0
read client1 5
read client2 6
read listener 4
settle
feed 5        # a client speaks, and one helper is free
settle
""",
}
