"""The house rules that no linter knows: who may import whom, what stays light, what the wheel must hold."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("reasoning_grpo", "rewards", "data", "eval")

# Module prefix -> prefixes of ours it may import. The longest matching prefix counts; a room may import itself.
FOUNDATION = ("reasoning_grpo.schema", "reasoning_grpo.errors")
RECORDS = (*FOUNDATION, "reasoning_grpo.storage", "reasoning_grpo.progress", "reasoning_grpo.manifest")
PROBLEMS = (*FOUNDATION, "reasoning_grpo.data")
VERDICTS = (*FOUNDATION, "reasoning_grpo.rewards")
ENGINE = (
    "reasoning_grpo.processes",
    *RECORDS,
    "reasoning_grpo.config",
    "reasoning_grpo.models",
    "reasoning_grpo.engine",
    "reasoning_grpo.rollout",
    "reasoning_grpo.advantage",
)
LOOP = (
    "reasoning_grpo.batching",
    "reasoning_grpo.callbacks",
    "reasoning_grpo.trl_bridge",
    "reasoning_grpo.trl_config",
    "reasoning_grpo.trl_rollout",
    "reasoning_grpo.fast_grpo",
    "reasoning_grpo.dynamic_sampling",
    "reasoning_grpo.collecting",
)
BRIDGES = ("reasoning_grpo.trl_bridge", "reasoning_grpo.trl_rollout")
KEPT = ("reasoning_grpo.checkpoint", "reasoning_grpo.faults", "reasoning_grpo.heldout")
RUN = (*PROBLEMS, *VERDICTS, "reasoning_grpo.prepare", "reasoning_grpo.eval")
MAY_IMPORT = {
    "reasoning_grpo.schema": (),
    "reasoning_grpo.errors": (),
    "reasoning_grpo": FOUNDATION,
    "reasoning_grpo.storage": FOUNDATION,
    "reasoning_grpo.progress": FOUNDATION,
    "reasoning_grpo.batching": FOUNDATION,
    "reasoning_grpo.processes": FOUNDATION,
    "reasoning_grpo.manifest": RECORDS,
    "reasoning_grpo.rewards": VERDICTS,
    "reasoning_grpo.data": PROBLEMS,
    "reasoning_grpo.config": (*PROBLEMS, *VERDICTS),
    "reasoning_grpo.advantage": FOUNDATION,
    "reasoning_grpo.models": (*FOUNDATION, "reasoning_grpo.config", "reasoning_grpo.data.hub"),
    "reasoning_grpo.engine": FOUNDATION,
    "reasoning_grpo.update": (*FOUNDATION, "reasoning_grpo.engine.attention_seam"),
    "reasoning_grpo.rollout": ENGINE,
    "reasoning_grpo.eval": (*ENGINE, *PROBLEMS, *VERDICTS),
    "reasoning_grpo.trl_bridge": (*PROBLEMS, *VERDICTS),
    "reasoning_grpo.trl_config": (*ENGINE, *LOOP),
    "reasoning_grpo.trl_rollout": ENGINE,
    "reasoning_grpo.fast_grpo": (*ENGINE, "reasoning_grpo.update", "reasoning_grpo.trl_rollout"),
    "reasoning_grpo.callbacks": ENGINE,
    "reasoning_grpo.checkpoint": RECORDS,
    "reasoning_grpo.faults": FOUNDATION,
    "reasoning_grpo.heldout": (*RECORDS, "reasoning_grpo.processes", "reasoning_grpo.eval.metrics"),
    "reasoning_grpo.dynamic_sampling": (),
    "reasoning_grpo.collecting": (*ENGINE, *VERDICTS, "reasoning_grpo.dynamic_sampling", *BRIDGES),
    "reasoning_grpo.trainer": (*ENGINE, *LOOP),
    "reasoning_grpo.durable": (*RECORDS, *KEPT, "reasoning_grpo.models", "reasoning_grpo.trainer"),
    "reasoning_grpo.prepare": (*ENGINE, *LOOP, *PROBLEMS, *VERDICTS),
    "reasoning_grpo.assemble": (*ENGINE, *LOOP, *KEPT, *RUN, "reasoning_grpo.durable"),
    "reasoning_grpo.train": (*ENGINE, *LOOP, *KEPT, *RUN, "reasoning_grpo.durable", "reasoning_grpo.assemble"),
    "reasoning_grpo.commands": ("reasoning_grpo",),
    "reasoning_grpo.cli": ("reasoning_grpo",),
    "reasoning_grpo.__main__": ("reasoning_grpo.cli",),
}
FORBIDDEN_OUTSIDE = {
    "reasoning_grpo.rewards": ("torch", "trl", "transformers", "datasets"),
    "reasoning_grpo.data": ("torch", "trl"),
    "reasoning_grpo.eval": ("trl",),
    "reasoning_grpo.rollout": ("trl",),
    "reasoning_grpo.engine": ("trl",),
    "reasoning_grpo.update": ("trl",),
}


def sources() -> dict[str, Path]:
    """Return every module that ships, by its import name."""
    found = {}
    for folder in FOLDERS:
        prefix = folder if folder == "reasoning_grpo" else f"reasoning_grpo.{folder}"
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            if folder == "reasoning_grpo" and parts[0] in FOLDERS:
                continue  # the committed links, for editors only
            found[".".join((prefix, *parts)).removesuffix(".__init__")] = path
    return found


def imports_of(source: str) -> set[str]:
    """Return the modules a file imports anywhere, inside functions and TYPE_CHECKING blocks too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "reasoning_grpo":
                names.update(f"reasoning_grpo.{alias.name}" for alias in node.names)
            else:
                names.add(node.module)
    return names


def is_inside(name: str, prefixes: tuple[str, ...]) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def violations(module: str, source: str) -> list[str]:
    """Return the imports of `module` that its place in the house does not allow."""
    rooms = [room for room in MAY_IMPORT if is_inside(module, (room,))]
    assert rooms, f"{module} has no room in MAY_IMPORT; say what it may import"
    room = max(rooms, key=len)
    if room == "reasoning_grpo" and module != "reasoning_grpo":
        raise AssertionError(f"{module} has no room of its own in MAY_IMPORT; say what it may import")
    allowed = (room, *MAY_IMPORT[room])
    forbidden = FORBIDDEN_OUTSIDE.get(room, ())
    return [
        f"{module} imports {name}"
        for name in sorted(imports_of(source))
        if (is_inside(name, ("reasoning_grpo",)) and not is_inside(name, allowed)) or is_inside(name, forbidden)
    ]


def test_no_module_imports_upward() -> None:
    found = [line for module, path in sources().items() for line in violations(module, path.read_text("utf-8"))]
    assert found == []


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("reasoning_grpo.rewards.tags", "import torch"),
        ("reasoning_grpo.rewards.tags", "from reasoning_grpo.data.prompts import render"),
        ("reasoning_grpo.data.splits", "from reasoning_grpo.rewards import verify"),
        ("reasoning_grpo.eval.harness", "from reasoning_grpo.trainer import ReasoningGRPOTrainer"),
        ("reasoning_grpo.eval.harness", "def f():\n    import trl"),
        ("reasoning_grpo.engine.decoding", "from trl import GRPOTrainer"),
        ("reasoning_grpo.update.packing", "from reasoning_grpo.engine.decoding import decode"),
        ("reasoning_grpo.schema", "from reasoning_grpo import errors"),
    ],
)
def test_an_upward_import_is_noticed(module: str, line: str) -> None:
    assert violations(module, line) != []


def test_every_folder_with_modules_is_listed_for_the_wheel() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
    folders = {path.parent for path in sources().values()}
    shipped = {ROOT / settings["package-dir"].get(name, name.replace(".", "/")) for name in settings["packages"]}
    assert folders == shipped


@pytest.mark.parametrize("module", ["reasoning_grpo", "reasoning_grpo.rewards", "reasoning_grpo.data"])
def test_importing_the_light_packages_loads_nothing_heavy(module: str) -> None:
    heavy = ("torch", "trl", "transformers", "datasets", "sympy", "scipy")
    code = f"import sys, {module}; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_path_of_a_developers_machine_is_in_the_project() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    if not tracked:
        pytest.skip("not a git checkout")
    texts = [ROOT / name for name in tracked if name.endswith((".py", ".toml", ".md", ".txt", "Makefile", ".yml"))]
    needles = ["/".join(("", "work", "main")), "/".join(("", "work", "shared")), "/".join(("", "tmp", "w", ""))]
    assert [str(t) for t in texts if t.is_file() and any(n in t.read_text("utf-8") for n in needles)] == []
