#!/usr/bin/env python3
"""The key-value application, and the language that it speaks (clients/README.md, "Key-value application")."""

import json
import re
from typing import Dict, Optional

from paxosd_client import run_app, to_json, well_formed

# The answers' errors.
MALFORMED = "not a key-value request"
UNKNOWN_OPERATION = "unknown operation"
NO_KEY = "key missing"
NO_VALUE = "value missing"
NOT_FOUND = "not found"

# A JSON object whose members are all strings. JSON parsers differ in what they take for numbers, in how deep they
# follow, and in what they do to characters; over these texts they agree, and answers must.
_SPACE = r"[ \t\n\r]*"
_STRING = r'"[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*)*"'
_MEMBER = _SPACE + _STRING + _SPACE + ":" + _SPACE + _STRING + _SPACE
_REQUEST = re.compile(_SPACE + r"\{(?:" + _MEMBER + "(?:," + _MEMBER + ")*|" + _SPACE + r")\}" + _SPACE)


def put_request(key: str, value: str) -> str:
    """The value that puts a key."""
    return to_json({"op": "put", "key": key, "value": value})


def get_request(key: str) -> str:
    """The value that gets a key."""
    return to_json({"op": "get", "key": key})


def grant(value: str) -> str:
    return to_json({"ok": True, "value": value})


def refuse(error: str) -> str:
    return to_json({"ok": False, "error": error})


class KvStore:
    """The keys, and what one value of the log does to them."""

    def __init__(self) -> None:
        self._values: Dict[str, str] = {}

    def apply(self, text: str) -> str:
        """Carries out one value of the log and returns the answer. Never raises: any text is a value."""
        if _REQUEST.fullmatch(text) is None:
            return refuse(MALFORMED)
        # Some members need not be there; surrogates that stood apart in the text may now stand together.
        request = {well_formed(name): well_formed(member) for name, member in json.loads(text).items()}
        key: Optional[str] = request.get("key")
        value: Optional[str] = request.get("value")
        if request.get("op") not in ("put", "get"):
            return refuse(UNKNOWN_OPERATION)
        if key is None:
            return refuse(NO_KEY)
        if request["op"] == "get":
            return grant(self._values[key]) if key in self._values else refuse(NOT_FOUND)
        if value is None:
            return refuse(NO_VALUE)
        self._values[key] = value
        return grant(value)


if __name__ == "__main__":
    store = KvStore()
    run_app(lambda value, request: store.apply(value))
