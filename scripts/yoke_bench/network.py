# SPDX-License-Identifier: GPL-2.0
"""The two networks that DRBD may use: virtio-net, and ntb_netdev over an emulated NTB link."""

from __future__ import annotations

from yoke_lab.qemu import lan_address

from .controller import Controller, NtbDevices
from .drbd import Transport

NTB_ADDRESSES = ("10.78.0.1", "10.78.0.2")


def virtio(nodes: tuple[Controller, Controller]) -> Transport:
    """The lab's own network; it is up already."""
    transport = Transport("virtio-net", (lan_address(0), lan_address(1)))
    _tune(nodes, transport)
    return transport


def over_ntb(devices: tuple[NtbDevices, NtbDevices], link: str) -> Transport:
    """Brings ntb_netdev up on a link that no other client uses."""
    nodes = (devices[0].controller, devices[1].controller)
    for side in devices:
        side.controller.modprobe("ntb_transport")
        side.give(link, "ntb_transport")
        # Refuses to load before ntb_transport has a device.
        side.controller.modprobe("ntb_netdev")
    names = [_interface(node) for node in nodes]
    for node, name, address in zip(nodes, names, NTB_ADDRESSES, strict=True):
        node.run("ip", "address", "add", f"{address}/24", "dev", name)
        node.run("ip", "link", "set", name, "up")
    # There is a carrier once both sides are up.
    for node, name in zip(nodes, names, strict=True):
        node.wait(f"the carrier of {name}", f"grep -q 1 /sys/class/net/{name}/carrier", 30)
    nodes[0].wait("the other side of ntb_netdev", f"ping -c 1 -W 1 {NTB_ADDRESSES[1]}", 30)
    transport = Transport("ntb_netdev", NTB_ADDRESSES)
    _tune(nodes, transport)
    return transport


def _interface(node: Controller) -> str:
    """The interface that ntb_netdev made: the one below the NTB device."""
    node.wait("the interface of ntb_netdev", "readlink /sys/class/net/* | grep -q ntb", 30)
    return node.shell("readlink /sys/class/net/* | grep ntb").rsplit("/", 1)[-1]


def _tune(nodes: tuple[Controller, Controller], transport: Transport) -> None:
    """Acknowledge at once: without this a lone small write waits up to 40 ms for a delayed acknowledgement."""
    network = transport.addresses[0].rsplit(".", 1)[0] + ".0/24"
    for node in nodes:
        route = node.run("ip", "route", "show", network).split()
        node.run("ip", "route", "change", *route, "quickack", "1")
        node.shell("echo 4194304 > /proc/sys/net/core/wmem_max; echo 4194304 > /proc/sys/net/core/rmem_max")
