#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# A DNS-SD browser of python-zeroconf lists a dead server for at least 19 minutes, however short its records were to live.
#
# Guess: who announces a service with records that live for seconds is gone from all browsers seconds after it died without a word; with the
# library's own lives (2 minutes for addresses and ports) after two minutes.
# Is: a browser goes by the pointer record alone, and a pointer's life is raised to 1125 s when it is heard; by default it is 4500 s. The name
# stays listed for that long, though it cannot be resolved any more as soon as its other records are over. Only a goodbye takes it
# away at once.
# Why it matters: a controller that lost its power says no goodbye. Whoever shows or uses what a browser has "added" has a dead
# controller among the living for 19 to 75 minutes: that it is listed says nothing, resolve or connect first.
# Tried: Debian 12 (Python 3.11) and 13 (3.13), in a network namespace of its own.
set -eu
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
trap 'exit 1' INT TERM
cd "$T"
PATH=$PATH:/usr/sbin:/sbin
command -v ip > /dev/null || apt-get -qq install -y --no-install-recommends iproute2 > /dev/null
python3 -m pip --version > /dev/null 2>&1 || apt-get -qq install -y --no-install-recommends python3-pip > /dev/null
python3 -m pip install -q --disable-pip-version-check --root-user-action=ignore --target packages zeroconf==0.148.0 ifaddr==0.2.0
echo "zeroconf 0.148.0, $(python3 --version)"

cat > server.py << 'END'
import socket
import sys

from zeroconf import ServiceInfo, Zeroconf

kind = "_example._tcp.local."
host = socket.inet_aton("127.0.0.1")
info = ServiceInfo(kind, f"{sys.argv[1]}.{kind}", addresses=[host], port=1, server="a.local.", host_ttl=3, other_ttl=8)
zeroconf = Zeroconf(interfaces=["127.0.0.1"])
zeroconf.register_service(info)
print("announced", flush=True)
sys.stdin.readline()
zeroconf.close()
END
cat > browser.py << 'END'
import subprocess
import sys
import time

from zeroconf import DNSPointer, ServiceBrowser, Zeroconf

kind = "_example._tcp.local."
zeroconf = Zeroconf(interfaces=["127.0.0.1"])
listed = set()


def change(state_change, name, **_):
    (listed.add if state_change.name == "Added" else listed.discard)(name)


def wait(condition):
    end = time.monotonic() + 20
    while not condition() and time.monotonic() < end:
        time.sleep(0.1)
    return condition()


def resolves(name):
    return bool(zeroconf.get_service_info(kind, name, timeout=300))


browser = ServiceBrowser(zeroconf, kind, handlers=[lambda **told: change(**told)])
polite, silent = (
    subprocess.Popen([sys.executable, "server.py", name], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    for name in ("polite", "silent")
)
names = [f"{name}.{kind}" for name in ("polite", "silent")]
print("both listed:", wait(lambda: set(names) <= listed), flush=True)
print("both resolve:", all(map(resolves, names)), flush=True)
polite.communicate(b"\n", timeout=20)
print("the one with a goodbye is gone:", wait(lambda: names[0] not in listed), flush=True)
silent.kill()
silent.wait()
time.sleep(16)
print("twice its life later the dead one is listed:", names[1] in listed, flush=True)
print("it resolves:", resolves(names[1]), flush=True)
lives = {record.ttl for record in zeroconf.cache.entries_with_name(kind) if isinstance(record, DNSPointer)}
print("its pointer lives for", *map(int, lives), "s")
zeroconf.close()
END
cat > job << 'END'
ip link set lo up
ip link set lo multicast on
ip route add 224.0.0.0/4 dev lo
PYTHONPATH=packages timeout -k 5 110 python3 browser.py
END
unshare -n sh job > result 2>&1 || { cat result; exit 1; }
cat result
is() { grep -qxF -- "$1" result; }
if is 'both listed: True' && is 'both resolve: True' && is 'the one with a goodbye is gone: True' &&
    is 'twice its life later the dead one is listed: True' && is 'it resolves: False' && is 'its pointer lives for 1125 s'; then
    echo "as found: the dead stay listed"
else
    echo "changed: the dead go when their records are over"
    exit 1
fi
