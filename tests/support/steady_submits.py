"""Submit echo tasks, each on a new connection, until a file appears. Then print how many answers had which status.

A program of its own: it runs inside a booted server. Arguments: the file, and the API key's file. It leaves most of the
processor to the services that restart meanwhile.
"""

import json
import sys
import time
from collections import Counter
from pathlib import Path

import httpx

HEADERS = {"Authorization": f"Bearer {Path(sys.argv[2]).read_text().strip()}"}
PACE_SECONDS = 0.06
URL = "http://127.0.0.1:8080/submit"
TASK = {"task_type": "echo", "payload": {"sleep_seconds": 0.05}}


def main() -> None:
    answers: Counter[str] = Counter()
    while not Path(sys.argv[1]).exists():
        try:
            # without `verify` each call would read all certificates of the machine
            sent = httpx.post(URL, json=TASK, headers=HEADERS, timeout=120, verify=False)
            answers[str(sent.status_code)] += 1
        except httpx.HTTPError as error:
            answers[type(error).__name__] += 1
        if answers.total() == 10:
            Path(f"{sys.argv[1]}.begun").touch()
        time.sleep(PACE_SECONDS)
    print(json.dumps(answers))


main()
