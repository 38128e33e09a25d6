"""Not a file format: dies natively at number 3, so that a test can see what is said of a crash."""

import faulthandler


def check(seed):
    if seed == 3:
        faulthandler._sigsegv()
    return "read"
