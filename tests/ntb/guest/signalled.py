# SPDX-License-Identifier: GPL-2.0
"""`signalled.py FILE TEXT` writes a text to a file of the kernel's, in a task that is sent a signal every millisecond.

A signal that comes while the kernel is at work is pending until the call has returned, since only then can it be handled.
"""

import os
import signal
import sys

path, text = sys.argv[1:]
file = os.open(path, os.O_WRONLY)
signal.signal(signal.SIGALRM, lambda *_: None)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
written = os.write(file, text.encode())
signal.setitimer(signal.ITIMER_REAL, 0)
assert written == len(text)
