"""Build the wheel, install it into an empty environment and run every console command from `/`."""

import os
import subprocess
import sys
import tempfile
import tomllib
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = (
    ("--help",),
    ("--version",),
    ("recipes",),
    ("suites",),
    ("styles",),
    ("verifiers",),
    ("train", "--help"),
    ("bench", "--help"),
    ("score", "--help"),
    ("demo", "--help"),
    ("demo", "--steps", "1"),
)


def main() -> None:
    """Run the check; any failure ends it with that command's exit code."""
    with tempfile.TemporaryDirectory() as scratch:
        wheel = build_wheel(Path(scratch, "dist"))
        check_contents(wheel)
        binaries = install(wheel, Path(scratch, "env"))
        for args in COMMANDS:
            run_command(binaries, args, Path(scratch))
    print(f"wheel check: {len(COMMANDS)} commands ran from /")


def build_wheel(folder: Path) -> Path:
    """Build from a clean copy of what git tracks, so that nothing of the work tree leaks in."""
    source = folder.parent / "source"
    source.mkdir()
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, check=True, capture_output=True).stdout
    subprocess.run(["tar", "-x", "-C", source], input=archive, check=True)
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", folder, source], check=True, stdout=subprocess.DEVNULL
    )
    return next(folder.glob("*.whl"))


def check_contents(wheel: Path) -> None:
    """Every Python file of the packages must be in the wheel: `packages` is explicit and forgets new folders."""
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    names = set(zipfile.ZipFile(wheel).namelist())
    for package in packages:
        assert f"{package.replace('.', '/')}/__init__.py" in names, package
    for needed in ("reasoning_grpo/py.typed", "reasoning_grpo/demo_model/model.safetensors"):
        assert needed in names, needed


def install(wheel: Path, env: Path) -> Path:
    """Make an empty environment with the wheel and its dependencies at the tested versions."""
    venv.create(env, with_pip=True)
    constraints = ROOT / "constraints.txt"
    subprocess.run([env / "bin/pip", "install", "--quiet", "--constraint", constraints, wheel], check=True)
    return env / "bin"


def run_command(binaries: Path, args: tuple[str, ...], scratch: Path) -> None:
    """Run one command from `/`; the demo writes into the scratch folder."""
    out = ("--out", str(scratch / "out")) if args[0] == "demo" and "--help" not in args else ()
    environment = {"PATH": os.environ["PATH"], "HOME": str(scratch)}
    command = [str(binaries / "reasoning-grpo"), *args, *out]
    done = subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} exited with {done.returncode}:\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    main()
