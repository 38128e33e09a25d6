"""A disk that is really full: a tiny file system of its own, or where none can be mounted, a limit on the size of files."""

import errno
import os
import resource
import subprocess

import pytest


class Disk:
    """Attributes: `path`, a folder on it; `mounted`, whether by itself; `reason`, what the system says when it is full."""

    def __init__(self, path, mounted):
        self.path, self.mounted = path, mounted
        self.reason = os.strerror(errno.ENOSPC if mounted else errno.EFBIG)
        self._old = resource.getrlimit(resource.RLIMIT_FSIZE)

    def leave(self, pages):
        """Room for so many pages of 4 kB, in all or in a file."""
        if self.mounted:
            state = os.statvfs(self.path)
            (self.path / "ballast").write_bytes(bytes(max(0, state.f_bavail - pages) * state.f_bsize))
        else:
            resource.setrlimit(resource.RLIMIT_FSIZE, (pages * 4096, self._old[1]))

    def free(self):
        (self.path / "ballast").unlink(missing_ok=True)
        resource.setrlimit(resource.RLIMIT_FSIZE, self._old)


@pytest.fixture
def disk(tmp_path):
    where = tmp_path / "disk"
    where.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", where]
    mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    made = Disk(where, mounted)
    yield made
    made.free()
    if mounted:
        subprocess.run(["umount", where], check=True)
