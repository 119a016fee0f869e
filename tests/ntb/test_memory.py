# SPDX-License-Identifier: GPL-2.0
"""Devices whose memory is not what it should be are refused, with a line that says why."""

import os
import struct
from pathlib import Path

import pytest
from odd_devices import Device, boot
from pair import DRIVER, PCI, Pair

# include/yoke/ivshmem_layout.h
MAGIC, VERSION, SIDES = 0x00, 0x08, 0x1C
MAGIC_VALUE = 0x4D485356454B4F59
MIB = 1 << 20


def server_page(version: int = 1, sides: int = 2) -> bytes:
    return struct.pack("<QIIQII", MAGIC_VALUE, version, 0, 0, 0, sides)


@pytest.mark.parametrize(
    ("form", "offset", "value", "words"),
    [
        ("<Q", MAGIC, 0, "not an emulated NTB (magic 0x0000000000000000)"),
        ("<Q", MAGIC, 0xFFFFFFFFFFFFFFFF, "not an emulated NTB (magic 0xffffffffffffffff)"),
        ("<I", VERSION, 7, "shared memory of version 7, this driver knows 1"),
        ("<I", SIDES, 3, "a link of 3 sides: an NTB has 2"),
        ("<I", SIDES, 0xFFFFFFFF, "a link of 4294967295 sides: an NTB has 2"),
    ],
)
def test_a_server_page_that_is_wrong(pair: Pair, form: str, offset: int, value: int, words: str) -> None:
    pair.a.unbind()
    right = pair.a.memory("read", form, offset)
    pair.a.memory("write", form, offset, value)
    try:
        said = pair.a.run(f"echo {PCI} > {DRIVER}/bind").stderr.decode()
        assert "No such device" in said, said
        assert not pair.a.is_bound()
        assert words in pair.a.log()
    finally:
        pair.a.memory("write", form, offset, right)
    pair.a.bind()
    assert pair.a.is_bound()


def test_devices_of_other_kinds(tmp_path: Path) -> None:
    devices = [
        (Device(1 * MIB, b""), "shared memory of 1024 KiB is too small"),
        (Device(2 * MIB, server_page()), "shared memory of 2048 KiB is too small"),
        (Device(4 * MIB, b""), "not an emulated NTB (magic 0x0000000000000000)"),
        (Device(4 * MIB, os.urandom(4 * MIB)), "not an emulated NTB"),
        (Device(4 * MIB, server_page(version=0)), "shared memory of version 0"),
        (Device(4 * MIB, server_page(sides=0)), "a link of 0 sides"),
        # ivshmem-plain has no interrupts.
        (Device(4 * MIB, server_page()), "no 2 MSI-X vectors"),
    ]
    console = boot([device for device, _ in devices], tmp_path)
    for number, (_, words) in enumerate(devices):
        address = f"0000:00:{0x10 + number:02x}.0"
        lines = [line for line in console.splitlines() if f"ntb_hw_ivshmem {address}" in line]
        assert any(words in line for line in lines), f"{address}: expected {words!r}\n{console[-4000:]}"
        assert f"odd-devices: {address} is not bound" in console, console[-4000:]
    assert "odd-devices: end" in console, console[-4000:]


def test_the_driver_says_what_it_bound(pair: Pair) -> None:
    pair.a.unload()
    pair.a.load()
    assert f"{PCI}: side 0, window of 31744 KiB, 16 doorbell vectors" in pair.a.log()
