# SPDX-License-Identifier: GPL-2.0
"""A peer out of order: stores what no yoke would into a window of an emulated NTB link.

    fill PCI SIDE SEED SECONDS AREA...   garbage over areas of that side's window: control, epochs, ring, regions
    hello PCI SIDE MIN MAX               a well-formed HELLO that speaks these versions of the link protocol only

Through the PCI device's resource file of the other side's machine. Where a window stands says
include/yoke/ivshmem_layout.h, what stands in it rust/core/src/window.rs.
"""

import mmap
import os
import random
import struct
import sys
import time

MIB = 1 << 20
AREAS = {"control": (0, 4096), "epochs": (4096, 8192), "ring": (8192, 8192 + 64 * 256), "regions": (24576, None)}
HELLO = "<Q8sHHBBBB16sQQQQQQQII20x"


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


class Window:
    """A side's window, mapped as the driver maps that of the peer: the kernel refuses any other way. That is
    write-combining, but for the page that is read through the link."""

    def __init__(self, device, side):
        path = f"/sys/bus/pci/devices/{device}/resource2"
        self.size = (os.stat(path).st_size - MIB) // 2 // MIB * MIB
        self.parts = []
        begin, end = AREAS["epochs"]
        for first, last, suffix in ((0, begin, "_wc"), (begin, end, ""), (end, self.size, "_wc")):
            with open(path + suffix, "r+b") as file:
                memory = mmap.mmap(file.fileno(), last - first, offset=MIB + side * self.size + first)
                self.parts.append((first, last, memory))

    def __len__(self):
        return self.size

    def pieces(self, where):
        """The parts that a slice lies in: the mapping, and where in it and in the slice."""
        start, stop, _ = where.indices(self.size)
        for first, last, memory in self.parts:
            begin, end = max(start, first), min(stop, last)
            if begin < end:
                yield memory, slice(begin - first, end - first), slice(begin - start, end - start)

    def __getitem__(self, where):
        return b"".join(memory[inside] for memory, inside, _ in self.pieces(where))

    def __setitem__(self, where, data):
        for memory, inside, of_data in self.pieces(where):
            memory[inside] = data[of_data]


def scatter(memory, begin, end, noise, draw):
    """Random bytes over all of it."""
    while begin < end:
        piece = noise[draw.randrange(len(noise) // 2) :][: end - begin]
        memory[begin : begin + len(piece)] = piece
        begin += len(piece)


def nudge(memory, begin, end, draw):
    """Words that are almost right: what stands there, a little more or less. Those that begin a line matter most."""
    for at in range(begin, min(end, begin + 16384), 8 if draw.random() < 0.1 else 64):
        (word,) = struct.unpack("<Q", memory[at : at + 8])
        memory[at : at + 8] = struct.pack("<Q", (word + draw.randint(-2, 2)) % (1 << 64))


def fill(memory, seed, seconds, areas):
    """Random bytes for half of the time, again before a peer in order has put right what is often read; then words
    that are almost right. How often."""
    draw, rounds = random.Random(seed), 0
    noise = draw.randbytes(MIB)
    small = [AREAS[area] for area in areas if area != "regions"]
    if "regions" in areas:
        scatter(memory, AREAS["regions"][0], len(memory), noise, draw)
    # Each at least once, however slow this machine is.
    begun = time.monotonic()
    while not rounds or time.monotonic() < begun + seconds / 2:
        for begin, end in small * 16:
            at = draw.randrange(len(noise) // 2)
            memory[begin:end] = noise[at : at + end - begin]
        rounds += 16
    if "regions" in areas:
        nudge(memory, AREAS["regions"][0], len(memory), draw)
    begun = time.monotonic()
    while True:
        for begin, end in small:
            nudge(memory, begin, end, draw)
        rounds += 1
        if time.monotonic() >= begun + seconds / 2:
            return rounds


def hello(memory, least, most):
    """Body first, then the word that says that it is there."""
    who = (least, most, 1, 0, 0, 0, bytes(range(16)), 0x1234, 1, 0x5678, 0, 0, 0, 16 * MIB, 64, 10_000)
    body = struct.pack(HELLO, 0xABCDEF, b"YOKEHELO", *who)
    whole = body + struct.pack("<I", crc32c(body))
    memory[8 : len(whole)] = whole[8:]
    memory[:8] = whole[:8]


def main():
    verb, device, side = sys.argv[1], sys.argv[2], int(sys.argv[3])
    memory = Window(device, side)
    if verb == "fill":
        print(fill(memory, int(sys.argv[4]), float(sys.argv[5]), sys.argv[6:]))
    else:
        hello(memory, int(sys.argv[4]), int(sys.argv[5]))


main()
