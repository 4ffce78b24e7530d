"""`make bench ONLY=gateway`: one gateway process on one core against HAProxy's `jwt_verify`, with the same tokens.

Both verify ES256 and pass a GET to the same static upstream, whose answer has 70 bytes; the gateway does everything
else that it does in production too (revocation, scope, quota, internal token, metrics, access log), HAProxy does not.
Warm: 1,000 tokens in turn. New: the same tokens at a gateway that remembers only one, so that each is verified anew.
HAProxy remembers nothing and is the same in both. Beside the rates stands the processor time per request, over that
of HAProxy: it says the same on a quiet machine, and still says it when others use the cores.
"""

import asyncio
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from uuid import uuid4

# This file bears the name of the package that it measures: its folder must come last among the places to look.
sys.path.append(sys.path.pop(0))

from harness import report

from gateway.testing import Door, free_port

TOKENS = 1_000
CLIENTS = 50
ROUNDS = 5
ROUND_S = 2
CONNECTIONS = 64
TESTED_CORE, LOAD_CORE = 0, 1
BODY = '{"card":"330000-2026-000001","state":"active","version":12,"until":20}'
# Least share of the reference, most processor time over the reference's, most megabytes.
RATIO_MIN = 0.5
WARM_CPU_MAX = 2.0
NEW_CPU_MAX = 6.0
RSS_MAX_MB = 70.0
# Quotas stay on, with room for what one machine can send in the name of 1,000 people.
QUOTAS = {
    "ONECARD_LIMIT_PERSON_RATE": "1000",
    "ONECARD_LIMIT_CLIENT_RATE": "20000",
    "ONECARD_LIMIT_CLIENT_BURST": "40000",
}

UPSTREAM = """
global
  maxconn 2000
  nbthread 1
defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 1s
  timeout http-keep-alive 60s
frontend static
  bind 127.0.0.1:{port}
  http-request return status 200 content-type text/json file {folder}/keys.json if {{ path /internal/keys }}
  http-request return status 200 content-type text/json file {folder}/none.json if {{ path /internal/revocations }}
  http-request return status 200 content-type text/json file {folder}/body.json
"""
REFERENCE = """
global
  maxconn 2000
  nbthread 1
  tune.bufsize 32768
defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 1s
  timeout http-keep-alive 60s
  http-reuse always
frontend door
  bind 127.0.0.1:{port}
  http-request set-var(txn.token) http_auth_bearer
  http-request set-var(txn.alg) var(txn.token),jwt_header_query('$.alg')
  http-request deny deny_status 401 unless {{ var(txn.alg) -m str ES256 }}
  http-request deny deny_status 401 unless {{ var(txn.token),jwt_verify(txn.alg,"{folder}/public.pem") -m int 1 }}
  default_backend static
backend static
  server static 127.0.0.1:{upstream} maxconn 512
"""
SCRIPT = """
local requests, number = {}, 0
function init(args)
  for line in io.lines("%s") do
    requests[#requests + 1] = wrk.format("GET", "/v1/cards/c1", { ["Authorization"] = "Bearer " .. line })
  end
end
function request()
  number = number %% #requests + 1
  return requests[number]
end
"""


class BenchError(Exception):
    """The measurement is worth nothing."""


def start_haproxy(config: Path, text: str, core: int) -> subprocess.Popen[bytes]:
    """Start an HAProxy in the foreground on one core."""
    config.write_text(text)
    return subprocess.Popen(
        ["taskset", "-c", str(core), "haproxy", "-db", "-f", str(config)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def load_command(port: int, script: Path) -> list[str]:
    """The one command that both are measured with."""
    wrk = f"taskset -c {LOAD_CORE} wrk -t1 -c{CONNECTIONS} -d{ROUND_S}s -s {script} http://127.0.0.1:{port}/"
    return wrk.split()


async def requests_per_second(command: list[str], pid: int) -> tuple[float, float]:
    """Run wrk against the process `pid`; returns requests per second, and its processor time per request in us."""
    before_s = processor_s(pid)
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    output = (await process.communicate())[0].decode()
    used_s = processor_s(pid) - before_s
    if process.returncode or "Non-2xx" in output or "Socket errors" in output:
        raise BenchError(f"wrk saw failures:\n{output}")
    rate = re.search(r"Requests/sec:\s+([0-9.]+)", output)
    count = re.search(r"([0-9]+) requests in", output)
    if rate is None or count is None:
        raise BenchError(f"wrk said something else:\n{output}")
    return float(rate[1]), used_s / int(count[1]) * 1e6


def processor_s(pid: int) -> float:
    """Processor time that a process has used so far, in seconds."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    """Resident memory of a process, in megabytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1]) / 1024


def write_files(folder: Path, door: Door) -> Path:
    """Write keys, answers, tokens and the script of the load; returns the script."""
    issuer = door.issuer
    (folder / "keys.json").write_text(json.dumps({"keys": [issuer.key.public.to_jwk()]}))
    (folder / "none.json").write_text('{"entries":[],"newest":0,"more":false}')
    (folder / "body.json").write_text(BODY)
    (folder / "public.pem").write_bytes(issuer.key.public.to_pem())
    tokens = [issuer.token(citizen=uuid4(), client_id=f"channel-{n % CLIENTS}") for n in range(TOKENS)]
    (folder / "tokens.txt").write_text("\n".join(tokens))
    script = folder / "load.lua"
    script.write_text(SCRIPT % (folder / "tokens.txt"))
    return script


async def start_gateway(door: Door, upstream: int) -> None:
    """Start a gateway on the tested core in front of the static upstream."""
    door.services.port = upstream
    await door.start_process()
    os.sched_setaffinity(door.process.pid, {TESTED_CORE})


async def measure(folder: Path) -> tuple[list[float], list[float], dict[str, tuple[float, float]], list[str]]:
    """Samples of the gateway and of the reference in turn, further figures, and the commands."""
    (folder / "a").mkdir()
    door = Door(folder / "a", **QUOTAS)
    (folder / "b").mkdir()
    forgetful = Door(folder / "b", **QUOTAS, ONECARD_LIMIT_TOKENS_CACHED="1", ONECARD_PUBLIC_URL=door.public_url)
    (folder / "b" / "cid" / "c1.key").write_text(door.issuer.cid_key.to_text())
    script = write_files(folder, door)
    upstream_port, reference_port = free_port(), free_port()
    upstream = UPSTREAM.format(port=upstream_port, folder=folder)
    reference = REFERENCE.format(port=reference_port, upstream=upstream_port, folder=folder)
    proxies = [
        start_haproxy(folder / "upstream.cfg", upstream, LOAD_CORE),
        start_haproxy(folder / "reference.cfg", reference, TESTED_CORE),
    ]
    try:
        await start_gateway(door, upstream_port)
        await start_gateway(forgetful, upstream_port)
        tested = (
            (load_command(door.port, script), door.process.pid),
            (load_command(reference_port, script), proxies[1].pid),
            (load_command(forgetful.port, script), forgetful.process.pid),
        )
        for command, pid in tested:
            await requests_per_second(command, pid)
        taken: list[list[tuple[float, float]]] = [[], [], []]
        for _ in range(ROUNDS):
            for kept, (command, pid) in zip(taken, tested, strict=True):
                kept.append(await requests_per_second(command, pid))
        warm, theirs, new = ([rate for rate, _ in kept] for kept in taken)
        warm_us, theirs_us, new_us = (statistics.median(used for _, used in kept) for kept in taken)
        print(f"each token new: {statistics.median(new) / statistics.median(theirs):.3f} of the reference")
        limits = {
            "processor time over the reference's, warm": (round(warm_us / theirs_us, 2), WARM_CPU_MAX),
            "the same, each token new": (round(new_us / theirs_us, 2), NEW_CPU_MAX),
            "resident memory of the gateway, MB": (round(resident_mb(door.process.pid), 1), RSS_MAX_MB),
        }
        return warm, theirs, limits, [" ".join(command) for command, _ in tested]
    finally:
        for proxy in proxies:
            proxy.terminate()
        for one in (door, forgetful):
            if hasattr(one, "process"):
                one.process.kill()
                await one.process.wait()


def main() -> None:
    """Measure, print, and write the result."""
    for program in ("haproxy", "wrk", "taskset"):
        if shutil.which(program) is None:
            sys.exit(
                f"The bench `gateway` needs {program} (Debian: haproxy, wrk, util-linux); it is not installed here."
            )
    if (os.cpu_count() or 1) < 2:
        sys.exit("The bench `gateway` needs two cores: one for what is measured, one for the load.")
    with tempfile.TemporaryDirectory(prefix="onecard-bench-gateway-") as folder:
        warm, theirs, limits, commands = asyncio.run(measure(Path(folder)))
    report(
        "gateway", samples={"value": warm, "reference": theirs}, ratio_min=RATIO_MIN, limits=limits, commands=commands
    )


if __name__ == "__main__":
    main()
