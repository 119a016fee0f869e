#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# reload.sh MODULE CYCLES SECONDS: unloads and loads the hardware driver under ntb_transport, and waits each time until
# its queue has a link: ntb_netdev's interface has a carrier then. SECONDS are the longest for one cycle.
set -eu
module=$1 cycles=$2 limit=$3

interface() {
    basename /sys/bus/ntb_transport/devices/*/net/*
}

for ((cycle = 1; cycle <= cycles; cycle++)); do
    # Else the transport loses the 100 buffers of an open queue each time.
    ip link set "$(interface)" down
    rmmod ntb_hw_ivshmem
    insmod "$module"
    # The transport offers a device that comes later to no client that is there already.
    rmmod ntb_netdev
    modprobe ntb_netdev
    dev=$(interface)
    ip link set "$dev" up
    end=$((SECONDS + limit))
    until [ "$(cat "/sys/class/net/$dev/carrier")" = 1 ]; do
        if ((SECONDS >= end)); then
            echo "cycle $cycle: no carrier" >&2
            exit 1
        fi
        sleep 0.02
    done
done
echo "$cycles of $cycles cycles came up"
