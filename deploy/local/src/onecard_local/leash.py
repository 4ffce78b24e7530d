"""Puts a child on a leash, then becomes it: `python -I -S leash.py PARENT SIGNAL UID GID FOLDER -- COMMAND…`.

Invariant: the command never outlives the process that started it, even when that one is SIGKILLed, because the
kernel itself sends SIGNAL at the parent's death. Kept to the standard library: it runs before every child.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, death_signal, uid, gid = (int(word) for word in sys.argv[1:5])
    folder, command = sys.argv[5], sys.argv[7:]
    os.chdir(folder)
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        # After the change of user: the kernel forgets the leash when credentials change.
        if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) was refused")
        if os.getppid() != parent:  # The parent died before the leash was on.
            sys.exit(1)
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
