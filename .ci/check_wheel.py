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
    ("score", "{scratch}/outputs.jsonl", "--out", "{scratch}/graded.jsonl"),
    ("compare", "{scratch}/graded.jsonl", "{scratch}/graded.jsonl"),
    ("report", "{scratch}/graded.jsonl", "--html", "{scratch}/report.html"),
    ("export", "{scratch}/graded.jsonl", "--format", "inspect", "--out", "{scratch}/log.json"),
    ("regrade", "--help"),
    ("audit", "--verifier", "accuracy", "--data", "arithmetic", "--prompt", "bare-tags", "--limit", "20"),
    ("train", "demo-arithmetic", "--train.steps", "1", "--output-dir", "{scratch}/train"),
    ("bench", "arithmetic", "--limit", "4", "--model", "{model}", "--out", "{scratch}/bench"),
    ("demo", "--steps", "1", "--out", "{scratch}/demo"),
)
OUTPUTS = '{"gold": "4", "response": "so \\\\boxed{4}"}\n'


def main() -> None:
    """Run the check; any failure ends it with that command's exit code."""
    with tempfile.TemporaryDirectory() as scratch:
        wheel = build_wheel(Path(scratch, "dist"))
        check_contents(wheel, Path(scratch, "source"))
        Path(scratch, "outputs.jsonl").write_text(OUTPUTS)
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


def check_contents(wheel: Path, source: Path) -> None:
    """Every module and data file of the packages must be in the wheel: `packages` is explicit and forgets folders."""
    settings = tomllib.loads((source / "pyproject.toml").read_text())["tool"]["setuptools"]
    shipped = set(zipfile.ZipFile(wheel).namelist())
    missing = []
    for package in settings["packages"]:
        folder = source / settings["package-dir"].get(package, package.replace(".", "/"))
        files = [path for path in folder.iterdir() if path.suffix in (".py", ".typed")]
        for pattern in settings["package-data"].get(package, []):
            files.extend(folder.glob(pattern))
        names = {f"{package.replace('.', '/')}/{path.relative_to(folder)}" for path in files}
        missing.extend(sorted(names - shipped))
    if missing:
        sys.exit(f"the wheel lacks {', '.join(missing)}")


def install(wheel: Path, env: Path) -> Path:
    """Make an empty environment with the wheel and its dependencies at the tested versions."""
    venv.create(env, with_pip=True)
    constraints = ("--constraint", str(ROOT / "constraints.txt"))
    pip_args = os.environ.get("PIP_ARGS", "").split()
    subprocess.run([env / "bin/pip", "install", "--quiet", *pip_args, *constraints, wheel], check=True)
    return env / "bin"


def run_command(binaries: Path, args: tuple[str, ...], scratch: Path) -> None:
    """Run one command from `/` with an environment that knows nothing of the checkout."""
    model = next(scratch.glob("env/lib/python*/site-packages/reasoning_grpo/demo_model"))
    filled = [arg.replace("{scratch}", str(scratch)).replace("{model}", str(model)) for arg in args]
    command = [str(binaries / "reasoning-grpo"), *filled]
    environment = {"PATH": os.environ["PATH"], "HOME": str(scratch)}
    done = subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} exited with {done.returncode}:\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    main()
