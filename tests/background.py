"""What an interactive shell does for `command &` and, when it gets SIGUSR1, for `fg`.

The terminal is standard input, and this process is the leader of a session that has no other.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import termios

if __name__ == "__main__":
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    with subprocess.Popen(sys.argv[1:], process_group=0) as command:
        signal.signal(signal.SIGUSR1, lambda *_: os.tcsetpgrp(0, command.pid))
        sys.exit(command.wait())
