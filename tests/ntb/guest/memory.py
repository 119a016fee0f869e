# SPDX-License-Identifier: GPL-2.0
"""The words of the shared memory, through the PCI device's resource file: `read PCI FORMAT OFFSET`, `write PCI FORMAT OFFSET VALUE`.

Bypasses the driver on purpose: a test may play the peer that stores garbage, or a server of another version.
FORMAT is one of the struct module: <I for 32 bits, <Q for 64.
"""

import mmap
import struct
import sys

verb, device, form, offset = sys.argv[1:5]
with open(f"/sys/bus/pci/devices/{device}/resource2", "r+b") as file, mmap.mmap(file.fileno(), 1 << 16) as memory:
    if verb == "read":
        print(struct.unpack_from(form, memory, int(offset, 0))[0])
    else:
        struct.pack_into(form, memory, int(offset, 0), int(sys.argv[5], 0))
