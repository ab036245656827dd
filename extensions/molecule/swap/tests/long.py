# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask through a front for an answer that never ends; then say what came of it: `{"tokens", "ended"}`.

long.py URL KEY BEGUN-FILE [BACKEND]

With the name of a BACKEND it asks when the front sends requests to the server that is started beside the one that runs.
BEGUN-FILE is there as soon as the first token came. `ended` is whether the server ended the answer in order.
"""

import json
import socket
import sys
import time
import urllib.request

url, key, begun = sys.argv[1:4]


def sends_to_next(backend):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect("/run/llama-front/admin.sock")
        connection.sendall(b"show servers state " + backend.encode() + b"\n")
        text = b"".join(iter(lambda: connection.recv(9999), b"")).decode()
    rows = [line.split() for line in text.splitlines() if " next " in line]
    return bool(rows) and rows[0][5] == "2" and not int(rows[0][6]) & 0x23  # up, and nobody holds it back


while sys.argv[4:] and not sends_to_next(sys.argv[4]):
    time.sleep(0.02)
body = json.dumps({"prompt": "Hello", "n_predict": -1, "ignore_eos": True, "stream": True}).encode()
head = {"Content-Type": "application/json", "Authorization": "Bearer " + key}
tokens, ended = 0, False
try:
    with urllib.request.urlopen(urllib.request.Request(url + "/completion", body, head), timeout=120) as answer:
        for line in answer:
            if line.startswith(b"data: "):
                tokens, ended = tokens + 1, bool(json.loads(line[6:]).get("stop"))
                if tokens == 1:
                    open(begun, "w").close()
except Exception as exc:  # noqa: BLE001  the front or the server closed the connection
    print(repr(exc), file=sys.stderr)
print(json.dumps({"tokens": tokens, "ended": ended}))
