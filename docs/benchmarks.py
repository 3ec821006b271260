"""Run the benchmarks, and write what they print for the guide's page on them.

Each script of ``examples/benchmarks`` gets a file of its own, with the date, the machine and the
versions, so that one may be run again alone.

    python docs/benchmarks.py                          # all of them, one after another
    python docs/benchmarks.py conditioning truncated   # these two
    python docs/benchmarks.py --quick --output /tmp    # small sizes: to see that they run
"""

import argparse
import platform
import re
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from os import cpu_count, getloadavg
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "examples" / "benchmarks"
PACKAGES = (
    "numpy scipy scikit-learn torch clarabel mapie hierarchicalforecast bayesreconpy neuraloperator"
)


def cpu():
    """Name the processor."""
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.*)", info.read_text()) if info.exists() else None
    return found[1] if found else platform.processor() or platform.machine()


def versions():
    """List Python, ours and those of the packages that benchmarks use, where they are installed."""
    import skphys

    listed = [f"Python {platform.python_version()}", f"skphys {skphys.__version__}"]
    for name in PACKAGES.split():
        try:
            listed.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            listed.append(f"no {name}")
    return ", ".join(listed)


def block(script, options, limit):
    """Run a script and return its part of the page; one that fails or lasts too long raises."""
    command = [sys.executable, str(script), *options]
    busy, began = getloadavg()[0], time.perf_counter()
    run = subprocess.run(command, capture_output=True, text=True, timeout=limit)
    if run.returncode:
        raise RuntimeError(f"{script.name} failed:\n{run.stderr}")
    seconds = time.perf_counter() - began
    printed = "\n".join(f"   {line}".rstrip() for line in run.stdout.strip("\n").splitlines())
    shown = " ".join(["python", script.relative_to(script.parents[2]).as_posix(), *options])
    return (
        f"``{shown}``, {datetime.now(UTC):%Y-%m-%d}, {seconds / 60:.1f} minutes on {cpu()}, "
        f"{cpu_count()} cores (load {busy:.1f} before), {platform.system()}. {versions()}.\n\n"
        f".. code-block:: text\n\n{printed}\n"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = sorted(path.stem for path in SCRIPTS.glob("*.py"))
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names)}")
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument("--limit", type=float, help="seconds for each; what lasts longer is left")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "user_guide" / "benchmarks")
    given = parser.parse_args()
    if unknown := set(given.names) - set(names):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; there are {names}")
    given.output.mkdir(parents=True, exist_ok=True)
    for name in given.names or names:
        try:
            text = block(SCRIPTS / f"{name}.py", ["--quick"] * given.quick, given.limit)
        except subprocess.TimeoutExpired:
            print(f"{name}: not done in {given.limit:.0f} seconds, left as it was")
            continue
        (given.output / f"{name}.inc").write_text(text, encoding="utf-8")
        print(f"{name}: written", flush=True)


if __name__ == "__main__":
    main()
