"""Runs firmware test modules under MicroPython: micropython run_tests.py test_record test_cbor ...

One line and a traceback per failure, then `RAN n FAILED f SKIPPED s`. Exit code 1 if anything failed or nothing ran.
"""

import sys
import unittest


def run(names):
    """Import and run the named modules; returns True if tests ran and none failed."""
    total = unittest.Result()
    for name in names:
        try:
            module = __import__(name)
        except Exception as error:
            total.failed(name, error)
            continue
        result = unittest.run_module(module)
        total.ran += result.ran
        total.failures += result.failures
        total.skips += result.skips
    print("RAN", total.ran, "FAILED", total.failures, "SKIPPED", total.skips)
    return total.ran > 0 and total.failures == 0


if __name__ == "__main__":
    sys.exit(0 if run(sys.argv[1:]) else 1)
