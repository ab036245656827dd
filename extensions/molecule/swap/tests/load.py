# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Twenty short requests a second through a front until a file appears; then say what became of them.

load.py URL KEY STOP-FILE
"""

import json
import os
import sys
import threading
import time
import urllib.request

url, key, stop = sys.argv[1:]
body = json.dumps({"prompt": "Hello", "n_predict": 4, "temperature": 0}).encode()
head = {"Content-Type": "application/json", "Authorization": "Bearer " + key}
waits, failed = [], []


def ask():
    began = time.monotonic()
    try:
        with urllib.request.urlopen(urllib.request.Request(url + "/completion", body, head), timeout=120) as answer:
            if not json.load(answer)["tokens_predicted"]:
                raise ValueError("no token")
    except Exception as exc:  # noqa: BLE001  whatever it is, the client got no answer
        detail = exc.read().decode("utf-8", "replace")[:200] if hasattr(exc, "read") else ""
        failed.append(f"after {time.monotonic() - began:.2f} s: {exc!r} {detail}")
    waits.append(time.monotonic() - began)


threads, due = [], time.monotonic()
while not os.path.exists(stop):
    threads.append(threading.Thread(target=ask))
    threads[-1].start()
    due += 0.05
    time.sleep(max(0.0, due - time.monotonic()))
for thread in threads:
    thread.join()
said = {
    "count": len(waits),
    "failed": failed,
    "longest": round(max(waits), 2),
    "median": sorted(waits)[len(waits) // 2],
}
print(json.dumps(said))
