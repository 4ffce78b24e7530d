"""Makes `.venv` from the locks and becomes the wanted command: `python3 bootstrap.py run|dev COMMAND…`.

Invariant: standard library only, and readable by an old Python far enough to say one clear sentence. What is
installed is exactly what the locks pin by hash; a stamp over them keeps a second run from installing anything.
ONECARD_INSTALL=no takes `.venv` as it is, for whoever tries another version of a library.
"""

import fcntl
import hashlib
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.abspath(__file__)).rsplit(os.sep, 4)[0]
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
STAMP = os.path.join(VENV, "onecard-stamp")
# In a folder of its own: `uv pip sync` would remove it from the environment while it runs.
UV_FOLDER = os.path.join(VENV, "uv")
UV = os.path.join(UV_FOLDER, "bin", "uv")
UV_LOCK = os.path.join(ROOT, "requirements", "uv.lock")
LOCKS = {"run": "all.lock", "dev": "dev.lock"}
LOCAL = (
    "contracts",
    "chassis",
    "gateway",
    "identity-svc",
    "card-svc",
    "payment-svc",
    "scenario-svc",
    "interop-svc",
    "clients/onecard",
    "clients/ecard",
    "deploy/local",
    "deploy/local/simulators",
)
NEEDED = (3, 11)
# pip's settings that uv does not read by itself -> uv's own.
PIP_TO_UV = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "cert": "SSL_CERT_FILE",
    "trusted-host": "UV_INSECURE_HOST",
    "timeout": "UV_HTTP_TIMEOUT",
    "default-timeout": "UV_HTTP_TIMEOUT",
}
SEVERAL = ("UV_INDEX", "UV_FIND_LINKS", "UV_INSECURE_HOST")  # lists: pip separates by white space, uv by its own


def main(words):  # type: (list[str]) -> None
    refuse_old_python(sys.version_info[:3])
    kind, command = words[0], words[1:]
    # Every process would compile its imports anew with this set; ours compile once.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PIP_ROOT_USER_ACTION"] = "ignore"  # the environment is ours, whoever we are
    with open(UV_LOCK) as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # two of us at once: the second finds it done
        if os.environ.get("ONECARD_INSTALL") != "no" and not is_current(kind):
            install(kind)
    os.chdir(ROOT)
    os.environ["PATH"] = os.path.join(VENV, "bin") + os.pathsep + os.environ.get("PATH", "")
    os.environ["VIRTUAL_ENV"] = VENV
    os.execvp(command[0], command)


def refuse_old_python(version):  # type: (tuple[int, int, int]) -> None
    if version < NEEDED:
        found = ".".join(str(part) for part in version)
        refuse(
            "One Card needs Python 3.11 or newer; {} is {}. "
            "Name a newer one: make run PYTHON=/path/to/python3.12".format(sys.executable or "this one", found)
        )


def is_current(kind):  # type: (str) -> bool
    """The environment holds what this kind needs; what is installed for checking is enough for running."""
    try:
        with open(STAMP) as stamp:
            found = stamp.read()
    except OSError:
        return False
    enough = [wanted(kind), wanted("dev")]
    return found in enough and works(PYTHON)


def wanted(kind):  # type: (str) -> str
    """A hash over the lock, the tool, and the pyproject files, whose entry points are installed."""
    digest = hashlib.sha256()
    names = ["requirements/" + LOCKS[kind], "requirements/uv.lock"]
    for name in names + [folder + "/pyproject.toml" for folder in LOCAL]:
        with open(os.path.join(ROOT, name), "rb") as file:
            digest.update(name.encode() + b"\0" + hashlib.sha256(file.read()).digest())
    # Editable installs point here: a checkout that was moved is installed anew.
    digest.update(ROOT.encode())
    return kind + " " + digest.hexdigest() + "\n"


def install(kind):  # type: (str) -> None
    if kind == "run" and os.path.exists(STAMP):
        with open(STAMP) as stamp:
            if stamp.read().startswith("dev "):
                kind = "dev"  # keep the tools of a developer
    if os.path.exists(STAMP):
        os.unlink(STAMP)
    say(f"Installing what requirements/{LOCKS[kind]} pins into .venv (once; some seconds) …")
    pip = make_environment()
    if not os.path.exists(UV):
        arguments = ["install", "--quiet", "--disable-pip-version-check", "--require-hashes", "--no-deps"]
        call(pip + arguments + ["--target", UV_FOLDER, "--upgrade", "-r", UV_LOCK])
    environment = dict(os.environ)
    environment.update(uv_settings(pip))
    target = ["--quiet", "--python", PYTHON]
    lock = os.path.join(ROOT, "requirements", LOCKS[kind])
    call([UV, "pip", "sync", "--require-hashes", "--compile-bytecode", *target, lock], environment)
    # Local folders have no hash to require, so they are a step of their own.
    editable = [word for folder in LOCAL for word in ("-e", os.path.join(ROOT, folder))]
    call([UV, "pip", "install", "--no-deps", *target, *editable], environment)
    with open(STAMP, "w") as stamp:
        stamp.write(wanted(kind))


def make_environment():  # type: () -> list[str]
    """Make `.venv` and return a pip to install uv with: this Python's, else the environment's own."""
    ours = [sys.executable, "-m", "pip"]
    if succeeds([*ours, "--version"]):
        if not works(PYTHON):
            call([sys.executable, "-m", "venv", "--clear", "--without-pip", VENV])
        return ours
    if not succeeds([sys.executable, "-c", "import ensurepip"]):
        refuse(
            f"{sys.executable} has neither pip nor ensurepip, so nothing can be installed. "
            "On Debian: apt-get install python3-venv"
        )
    theirs = [PYTHON, "-m", "pip"]
    if not works(PYTHON) or not succeeds([*theirs, "--version"]):
        call([sys.executable, "-m", "venv", "--clear", VENV])
    # uv pip sync takes pip away again; by then uv is installed.
    return theirs


def uv_settings(pip):  # type: (list[str]) -> dict[str, str]
    """uv ignores pip's configuration, so a machine behind a mirror is told here; what is set for uv already wins."""
    listing = subprocess.run([*pip, "config", "list"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    settings = {}
    for line in in_order_of_weight(listing.stdout.decode("utf-8", "replace").splitlines()):
        found = re.match(r"(?:global|install|:env:)\.([a-z-]+)='(.*)'$", line)
        if found and found.group(1) in PIP_TO_UV:
            name = PIP_TO_UV[found.group(1)]
            value = found.group(2).replace("\\n", " ").strip()
            settings[name] = separator(name).join(value.split()) if name in SEVERAL else value
    settings.update({"UV_PYTHON_DOWNLOADS": "never", "UV_LINK_MODE": os.environ.get("UV_LINK_MODE", "copy")})
    return {name: value for name, value in settings.items() if value and name not in os.environ}


def in_order_of_weight(lines):  # type: (list[str]) -> list[str]
    """pip's order: a variable wins over [install], that over [global]."""
    weights = ("global.", "install.", ":env:.")
    return [line for weight in weights for line in lines if line.startswith(weight)]


def separator(name):  # type: (str) -> str
    return "," if name == "UV_FIND_LINKS" else " "


def works(python):  # type: (str) -> bool
    check = "import sys; sys.exit(sys.version_info[:2] < (3, 11))"
    return os.path.exists(python) and succeeds([python, "-I", "-S", "-c", check])


def succeeds(command):  # type: (list[str]) -> bool
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0


def call(command, environment=None):  # type: (list[str], dict[str, str] | None) -> None
    done = subprocess.run(command, env=environment, check=False)
    if done.returncode != 0:
        shown = " ".join(os.path.relpath(word, ROOT) if word.startswith(ROOT) else word for word in command)
        refuse(f"The installation stopped at: {shown}")


def say(sentence):  # type: (str) -> None
    print(sentence, flush=True)


def refuse(sentence):  # type: (str) -> None
    sys.exit(sentence)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(130)
