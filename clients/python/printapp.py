#!/usr/bin/env python3
"""An application that only prints every update, and answers with the value."""

import sys

from paxosd_client import AppRequest, run_app, to_json


def print_update(value: str, request: AppRequest) -> str:
    line = "entry %d, client %d, request %d: %s\n" % (request.entry, request.id, request.no, to_json(value))
    sys.stdout.buffer.write(line.encode("utf-8"))
    sys.stdout.buffer.flush()
    return value


if __name__ == "__main__":
    run_app(print_update)
