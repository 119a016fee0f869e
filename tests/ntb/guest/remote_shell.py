# SPDX-License-Identifier: GPL-2.0
"""Runs shell commands for bin/ssh of the other machine: a command and NUL in; exit status, newline, output out."""

import socketserver
import subprocess
import sys

COMMAND_MAX = 1 << 16


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        command = bytearray()
        while (byte := self.rfile.read(1)) not in (b"", b"\0"):
            command += byte
            if len(command) > COMMAND_MAX:
                return
        done = subprocess.run(
            ["/bin/bash", "-c", bytes(command)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False
        )
        self.wfile.write(b"%d\n" % done.returncode)
        self.wfile.write(done.stdout)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


with Server((sys.argv[1], 7078), Handler) as server:
    print("ready", flush=True)
    server.serve_forever()
