#!/usr/bin/env python3
"""What the transcript needs of a language: its client on stdin and stdout, and an app (clients/README.md, "Driver")."""

import json
import sys
import threading
from functools import partial
from typing import Any, Callable, Dict

from paxosd_client import (
    Answer,
    AppError,
    AppRequest,
    Client,
    RequestError,
    Session,
    UnknownOutcomeError,
    run_app,
    to_json,
)

clients: Dict[str, Client] = {}
# Outcomes that are unknown, by the call that they are of.
unknown: Dict[str, UnknownOutcomeError] = {}
printing = threading.Lock()


def print_result(result: Dict[str, Any]) -> None:
    with printing:
        sys.stdout.buffer.write(to_json(result).encode("utf-8") + b"\n")
        sys.stdout.buffer.flush()


def report(call: Dict[str, Any], ask: Callable[[], Answer]) -> None:
    try:
        answer = ask()
        result = {"answer": answer.value, "entry": answer.entry, "id": answer.id, "no": answer.no}
        print_result({"call": call["call"], **result})
    except RequestError as error:
        if isinstance(error, UnknownOutcomeError):
            unknown[call["call"]] = error
        failure = {"error": error.certainty, "code": error.code, "id": error.asked.id, "no": error.asked.no}
        print_result({"call": call["call"], **failure})


def take(call: Dict[str, Any]) -> None:
    name, timeout_ms = call["client"], call.get("timeout_ms")
    if call["do"] == "open":
        session = Session(**call["session"]) if "session" in call else None
        clients[name] = Client(call["servers"], session=session, silence_ms=call.get("silence_ms", 3000))
        return
    client = clients[name]
    if call["do"] == "close":
        clients.pop(name).close()
        print_result({"call": call["call"], "closed": True})
    elif call["do"] == "request":
        # Submitted here, so that the numbers follow the order of the calls.
        report_later(call, client.submit(call["value"], timeout_ms).result)
    elif call["do"] == "query":
        report_later(call, partial(client.query, call["entry"], timeout_ms))
    else:
        report_later(call, partial(client.outcome, unknown[call["of"]], timeout_ms))


def report_later(call: Dict[str, Any], ask: Callable[[], Answer]) -> None:
    threading.Thread(target=report, args=(call, ask), daemon=True).start()


def answer(value: str, request: AppRequest) -> str:
    if value == "refuse me":
        raise AppError("no such thing")
    if value == "crash":
        raise ValueError("as asked")
    return "%d.%d@%d %s" % (request.id, request.no, request.entry, value)


def drive() -> None:
    for line in sys.stdin.buffer:
        take(json.loads(line))
    for client in clients.values():
        client.close()


if __name__ == "__main__":
    if sys.argv[1:2] == ["app"]:
        run_app(answer)
    else:
        drive()
