"""Confine this process for the rest of its life: bounded memory and CPU time, no files, no network, no other process.

Limits of resources hold on every POSIX system. On Linux with libseccomp, the kernel also refuses every system call that
is not in `CALLS`, so that not even native code that an attacker has taken over can open, connect, start or signal anything.
"""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import Any

NOBODY = 65534
THREAD = 0x10000
"""The flag of `clone` for a thread of this process (`CLONE_THREAD`)."""

CALLS = (
    "brk", "clock_getres", "clock_gettime", "clock_nanosleep", "close", "exit", "exit_group", "fstat", "futex",
    "futex_wait", "futex_wake", "get_mempolicy", "getcpu", "getpid", "getrandom", "getrusage", "gettid", "gettimeofday",
    "lseek", "madvise", "mbind", "membarrier", "mincore", "mmap", "mprotect", "mremap", "munmap", "nanosleep", "read",
    "recvfrom", "recvmsg", "restart_syscall", "rseq", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn",
    "sched_getaffinity", "sched_getparam", "sched_getscheduler", "sched_setaffinity", "sched_yield", "sendmsg", "sendto",
    "set_robust_list", "set_tid_address", "sigaltstack", "sysinfo", "time", "times", "uname", "write", "writev",
)  # fmt: skip
"""System calls that computing needs: memory, threads, clocks, and what is already open."""


def confine(memory: int, cpu_seconds: int) -> None:
    """Confine this process. Call it after all imports; it cannot be undone.

    Args:
        memory: bytes that it may take beyond those that it holds now.
        cpu_seconds: CPU time that it may take in all.
    """
    calls = _filter()  # before the limits, since it opens libraries
    if os.geteuid() == 0:  # nothing of root's is left, even without seccomp
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    held = _address_space()
    if held:
        resource.setrlimit(resource.RLIMIT_AS, (held + memory, held + memory))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))  # the first one ends it by its name
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))  # what is open stays open, and nothing more can be
    if calls is not None:
        calls.load()


def _address_space() -> int:
    """Bytes of address space in use; 0 where the system does not tell, and does not limit it either."""
    file = Path("/proc/self/statm")
    return int(file.read_text().split()[0]) * resource.getpagesize() if file.exists() else 0


def _filter() -> Any:
    """A filter that refuses all system calls but `CALLS`, in every thread; None without libseccomp."""
    try:
        import pyseccomp as seccomp
    except (ImportError, RuntimeError, OSError):
        return None
    rules = seccomp.SyscallFilter(seccomp.ERRNO(1))
    rules.set_attr(seccomp.Attr.CTL_TSYNC, 1)
    for name in CALLS:
        try:
            rules.add_rule(seccomp.ALLOW, name)
        except (ValueError, OSError):  # not on this architecture
            continue
    rules.add_rule(seccomp.ALLOW, "clone", seccomp.Arg(0, seccomp.MASKED_EQ, THREAD, THREAD))
    rules.add_rule(seccomp.ALLOW, "tgkill", seccomp.Arg(0, seccomp.EQ, os.getpid()))  # how abort() ends a process
    rules.add_rule(seccomp.ERRNO(38), "clone3")  # glibc then starts threads by clone, whose flags can be checked
    return rules
