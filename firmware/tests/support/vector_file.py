"""The published card vectors, each section read under a guard: what a test does not look at fails it."""

import json

VECTORS = __file__.rsplit("/", 2)[0] + "/vectors/"


def load(name):
    """One JSON file of tests/vectors."""
    with open(VECTORS + name) as file:
        return json.load(file)


class Section:
    """One section; entries by name, hex as bytes. Leaving the `with` block fails if an entry was never read."""

    def __init__(self, entries):
        self._entries = entries
        self._unread = set(entries)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        if kind is None and self._unread:
            raise AssertionError("nobody checked %s" % sorted(self._unread))
        return False

    def __getitem__(self, name):
        self._unread.discard(name)
        entry = self._entries[name]
        if isinstance(entry, list):
            return [bytes.fromhex(item) for item in entry]
        return bytes.fromhex(entry) if isinstance(entry, str) else entry
