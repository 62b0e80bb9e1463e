"""Runs the checks of launchers that this machine can run, and says loudly which it can't."""

import importlib
import sys
import time
import traceback

from common import Skipped

NAMES = ["ssh", "slurm", "manifests", "ray"]


def main(names):
    failed, skipped = [], []
    for name in names or NAMES:
        start = time.monotonic()
        try:
            importlib.import_module(f"check_{name}").check()
            print(f"launchers: {name} passed in {time.monotonic() - start:.0f} s", flush=True)
        except Skipped as reason:
            skipped.append(name)
            print(f"launchers: {name} NOT TESTED: {reason}", flush=True)
        except Exception:  # noqa: BLE001 — the others are tested all the same
            failed.append(name)
            traceback.print_exc()
    if skipped:
        print(f"launchers: NOT TESTED here: {', '.join(skipped)}")
    if failed:
        sys.exit(f"launchers: FAILED: {', '.join(failed)}")


main(sys.argv[1:])
