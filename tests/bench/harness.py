"""How every benchmark tells its result: one table on the screen, one file `.bench/NAME.json`.

Invariant: a ratio is the median of our samples over the median of the reference's, taken in turn on one machine, with
at least five of each; a bound that is not kept ends the program with status 1.
"""

import json
import os
import platform
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SAMPLES_MIN = 5


def machine() -> dict[str, str | int]:
    """What the figures hold for."""
    model = platform.processor() or platform.machine()
    if (information := Path("/proc/cpuinfo")).exists():
        named = [line for line in information.read_text().splitlines() if line.startswith("model name")]
        model = named[0].partition(":")[2].strip() if named else model
    return {"cpu": model, "cores": os.cpu_count() or 1, "system": platform.platform(), "python": sys.version.split()[0]}


def report(
    name: str,
    *,
    samples: Mapping[str, Sequence[float]] | None = None,
    ratio_min: float | None = None,
    limits: Mapping[str, tuple[float, float]] | None = None,
    commands: Sequence[str] = (),
) -> None:
    """Print and write; `samples` holds `value` and `reference`, `limits` each further figure and the most it may be."""
    result: dict[str, object] = {"name": name}
    kept = True
    print(f"\n{name}")
    if samples is not None:
        value, reference = (statistics.median(samples[part]) for part in ("value", "reference"))
        if min(len(samples["value"]), len(samples["reference"])) < SAMPLES_MIN:
            raise ValueError(f"a benchmark takes at least {SAMPLES_MIN} samples of each")
        ratio = value / reference
        result |= {"value": value, "reference": reference, "ratio": round(ratio, 3), "ratio_min": ratio_min}
        result["samples"] = {part: list(taken) for part, taken in samples.items()}
        kept = _line("ratio", ratio, ratio_min, at_least=True)
        print(f"    {value:,.1f} against {reference:,.1f} (medians)")
    bounds = limits or {}
    for figure, (measured, most) in bounds.items():
        kept = _line(figure, measured, most, at_least=False) and kept
    result["limits"] = {figure: {"value": measured, "most": most} for figure, (measured, most) in bounds.items()}
    result |= {"kept": kept, "commands": list(commands), "machine": machine()}
    folder = ROOT / ".bench"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n")
    if not kept:
        sys.exit(1)


def _line(figure: str, measured: float, bound: float | None, *, at_least: bool) -> bool:
    if bound is None:
        print(f"  {figure:<44} {measured:>10.3f}")
        return True
    kept = measured >= bound if at_least else measured <= bound
    sign = ">=" if at_least else "<="
    print(f"  {figure:<44} {measured:>10.3f}  {sign} {bound:g}  {'kept' if kept else 'NOT KEPT'}")
    return kept
