# SPDX-License-Identifier: GPL-2.0
"""Bytes over a network: `receive ADDRESS` says "ready" and prints the hash of what came; `send ADDRESS COUNT` prints the hash of what went."""

import hashlib
import os
import socket
import sys

PORT = 7079
CHUNK = 1 << 16


def receive(address):
    with socket.create_server((address, PORT)) as listener:
        print("ready", flush=True)
        connection, _ = listener.accept()
        with connection:
            digest = hashlib.sha256()
            while data := connection.recv(CHUNK):
                digest.update(data)
    print(digest.hexdigest())


def send(address, count):
    data = os.urandom(count)
    with socket.create_connection((address, PORT), timeout=30) as connection:
        connection.settimeout(None)
        connection.sendall(data)
    print(hashlib.sha256(data).hexdigest())


if sys.argv[1] == "receive":
    receive(sys.argv[2])
else:
    send(sys.argv[2], int(sys.argv[3]))
