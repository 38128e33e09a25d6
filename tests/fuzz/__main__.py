"""`python -W error -m tests.fuzz images 0 200`: mutants by number; the last line tells how many of them had which outcome."""

import collections
import faulthandler
import importlib
import resource
import sys
import time
import traceback

MEMORY = 8_000_000_000
"""Bytes: a file that asks for more gets a MemoryError, as on a small machine."""
SLOW = 20.0
"""Seconds that one file may take."""


def main(kind, first, count):
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    check = importlib.import_module(f"tests.fuzz.{kind}").check
    outcomes = collections.Counter()
    for seed in range(first, first + count):
        print(f"{kind} {seed}", flush=True)  # the last one is that of a crash
        began = time.monotonic()
        try:
            outcomes[check(seed)] += 1
        except Exception:
            outcomes["failed"] += 1
            print(f"FAILED {kind} {seed}\n{traceback.format_exc()}", flush=True)
        if time.monotonic() - began > SLOW:
            outcomes["slow"] += 1
            print(f"SLOW {kind} {seed}: {time.monotonic() - began:.0f} s", flush=True)
    print("outcomes", *(f"{name}={number}" for name, number in sorted(outcomes.items())), flush=True)


main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
