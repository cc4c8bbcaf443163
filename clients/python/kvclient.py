#!/usr/bin/env python3
"""The key-value command: `kvclient.py SERVERS put KEY VALUE…` and `kvclient.py SERVERS get KEY`."""

import argparse
import json
import re
import shlex
import sys
from typing import Any, List, Optional, Tuple

from kvapp import NOT_FOUND, get_request, put_request
from paxosd_client import (
    MAX_SAFE_INTEGER,
    Asked,
    Client,
    DefiniteError,
    ExecutedError,
    UnknownOutcomeError,
    parse_servers,
    well_formed,
)

# The command's exit codes (clients/README.md, "Key-value command").
OK, KEY_NOT_FOUND, USAGE, DEFINITE, UNKNOWN, UNREACHABLE, EXECUTED = range(7)

EXAMPLES = """\
Options stand before SERVERS; everything after KEY is the value.

Examples:
  kvclient.py 7001 put greeting hello world      prints: hello world
  kvclient.py 7001,7002,7003 get greeting        any node's port; redirects are followed
  kvclient.py --timeout-ms 500 10.0.0.5:7001 get greeting
  kvclient.py --ask 65537:1 7001 put greeting hello world
                                                 did it happen? says so, or makes it happen, once

Exit codes:
  0  done                       4  it may have happened; says how to find out
  1  the key is not there       5  no server could be reached; nothing happened
  2  wrong usage                6  it happened, but there is no key-value answer
  3  refused; nothing happened"""


def milliseconds(text: str) -> int:
    if re.fullmatch("[1-9][0-9]{0,8}", text):
        return int(text)
    raise argparse.ArgumentTypeError("write a number of milliseconds above 0")


def id_and_no(text: str) -> Tuple[int, int]:
    match = re.fullmatch("([1-9][0-9]*):([1-9][0-9]*)", text)
    if match and int(match.group(1)) <= MAX_SAFE_INTEGER and int(match.group(2)) <= MAX_SAFE_INTEGER:
        return int(match.group(1)), int(match.group(2))
    raise argparse.ArgumentTypeError("write ID:NO, as an earlier kvclient printed it")


def parse_arguments() -> Any:
    parser = argparse.ArgumentParser(
        prog="kvclient.py",
        description="Puts and gets keys of the key-value application that a paxosd cluster runs.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="%(prog)s [options] SERVERS put KEY VALUE… | get KEY",
    )
    parser.add_argument(
        "--timeout-ms", type=milliseconds, default=10_000, metavar="N", help="how long to keep trying, over all servers"
    )
    parser.add_argument(
        "--ask", type=id_and_no, metavar="ID:NO", help="ask again about an earlier request, with the same words"
    )
    parser.add_argument("servers", metavar="SERVERS", help="HOST:PORT or PORT of any nodes, separated by commas")
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="put KEY VALUE… | get KEY")
    arguments = parser.parse_args()
    try:
        parse_servers(arguments.servers)
        arguments.value = parse_request([replace_surrogates(word) for word in arguments.words])
    except ValueError as error:
        parser.error(str(error))
    return arguments


def replace_surrogates(word: str) -> str:
    """An argument or an answer that isn't valid Unicode keeps its valid part."""
    return well_formed(word).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def parse_request(words: List[str]) -> str:
    """The value that asks for what the words say. Raises ValueError."""
    operation = words[0] if words else ""
    if operation not in ("put", "get"):
        raise ValueError('unknown operation "%s": write put or get' % operation)
    if len(words) < 2:
        raise ValueError("%s needs a key" % operation)
    if operation == "get" and len(words) > 2:
        raise ValueError("get takes one key; options stand before the servers")
    if operation == "get":
        return get_request(words[1])
    if len(words) < 3:
        raise ValueError("put needs a value: put %s VALUE…" % words[1])
    return put_request(words[1], " ".join(words[2:]))


def say(text: str) -> None:
    print("kvclient: " + replace_surrogates(text), file=sys.stderr)


def report(text: str) -> int:
    """Prints an answer and returns the exit code."""
    answer = read_answer(text)
    if answer is None:
        say("it happened, but no key-value application answered. The answer: " + text)
        return EXECUTED
    ok, word = answer
    if ok:
        sys.stdout.buffer.write((replace_surrogates(word) + "\n").encode("utf-8"))
        return OK
    say(word)
    return KEY_NOT_FOUND if word == NOT_FOUND else DEFINITE


def read_answer(text: str) -> Optional[Tuple[bool, str]]:
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(answer, dict) and answer.get("ok") is True and isinstance(answer.get("value"), str):
        return True, answer["value"]
    if isinstance(answer, dict) and answer.get("ok") is False and isinstance(answer.get("error"), str):
        return False, answer["error"]
    return None


def explain_unknown(error: UnknownOutcomeError, arguments: Any) -> None:
    id, no = error.asked.id, error.asked.no
    words = ["kvclient.py", "--ask", "%d:%d" % (id, no), arguments.servers, *arguments.words]
    command = " ".join(shlex.quote(word) for word in words)
    say(str(error))
    how = "It may have happened (id %d, no %d). To find out, and to have it happen once if it did not:" % (id, no)
    print(how + "\n  " + replace_surrogates(command), file=sys.stderr)


def main() -> int:
    arguments = parse_arguments()
    with Client(arguments.servers, timeout_ms=arguments.timeout_ms) as client:
        try:
            if arguments.ask is None:
                return report(client.request(arguments.value).value)
            return report(client.ask_again(Asked(*arguments.ask, arguments.value)).value)
        except UnknownOutcomeError as error:
            explain_unknown(error, arguments)
            return UNKNOWN
        except DefiniteError as error:
            say("%s\nIt did not happen." % error)
            return UNREACHABLE if error.code == "unreachable" else DEFINITE
        except ExecutedError as error:
            say("%s\nIt happened." % error)
            return EXECUTED


if __name__ == "__main__":
    sys.exit(main())
