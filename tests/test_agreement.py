"""One verdict per (gold, text), wherever and under whatever load it is judged."""

import ast
import asyncio
import json
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest

from reasoning_grpo.rewards import verify, workers
from reasoning_grpo.schema import Verdict

Row = tuple[str, str]
Finding = tuple[str, str, str | None]
ROOT = Path(__file__).resolve().parent.parent

ROWS = [
    (row["gold"], f"\\boxed{{{row['answer']}}}")
    for row in map(json.loads, (ROOT / "tests/golden/equality.jsonl").read_text("utf-8").splitlines())
][::4]
ROWS += [
    (r"x \equiv 1 \pmod{3}", r"\boxed{x \equiv 1 \mod{3}}"),  # the gold is not ours to read: symbolic
    (r"\sum_{k=1}^{n} k", r"\boxed{\frac{n(n+1)}{2}}"),
    (r"\sum_{k=1}^{n} k", r"\boxed{\sum_{k=1}^{n} k}"),
    ("42", r"\boxed{9^{9^{9^{9}}}}"),
    ("42", r"<think>\boxed{42}"),
]


def judge(row: Row) -> Finding:
    return finding(verify(*row))


def finding(verdict: Verdict) -> Finding:
    return verdict.outcome.value, verdict.stage, verdict.extracted


@pytest.fixture(scope="module")
def expected() -> list[Finding]:
    return [judge(row) for row in ROWS]


@pytest.fixture(scope="module", autouse=True)
def _close() -> Iterator[None]:
    yield
    workers.close()


def test_the_rows_reach_every_kind_of_end(expected: list[Finding]) -> None:
    assert {"pass", "fail", "timeout", "no_answer"} <= {outcome for outcome, _, _ in expected}
    assert {"text", "number", "expression", "symbolic", "budget", "extraction"} <= {stage for _, stage, _ in expected}


def test_eight_threads_agree_with_the_main_thread(expected: list[Finding]) -> None:
    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(lambda: [judge(row) for row in ROWS]) for _ in range(8)]
        assert all(future.result() == expected for future in futures)


def test_asyncio_agrees_with_the_main_thread(expected: list[Finding]) -> None:
    async def judge_all() -> list[Finding]:
        return list(await asyncio.gather(*(asyncio.to_thread(judge, row) for row in ROWS)))

    async def judge_in_the_loop() -> list[Finding]:
        return [judge(row) for row in ROWS]

    assert asyncio.run(judge_all()) == expected
    assert asyncio.run(judge_in_the_loop()) == expected


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_process_pools_agree_with_the_main_thread(method: str, expected: list[Finding]) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} here")
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method)) as pool:
        assert [finding(verdict) for verdict in pool.map(verify, *zip(*ROWS, strict=True))] == expected


def test_a_machine_under_full_load_agrees(expected: list[Finding]) -> None:
    burner = [sys.executable, "-c", "while True: pass"]
    burners = [subprocess.Popen(burner) for _ in range(2 * (os.cpu_count() or 1))]
    try:
        assert [judge(row) for row in ROWS] == expected
    finally:
        for each in burners:
            each.kill()
            each.wait()


def test_threads_agree_on_what_is_computed_to_hundreds_of_bits() -> None:
    """The library's precision and its cached constants are shared state: a race would show as a wrong verdict."""
    pairs = [(rf"\sqrt{{{n}}}+\pi", rf"\boxed{{\pi+\frac{{{n}}}{{\sqrt{{{n}}}}}}}") for n in range(2, 80)]
    pairs += [(rf"\sqrt{{{10**n}+1}}", rf"\boxed{{\sqrt{{{10**n}+2}}}}") for n in range(1, 40, 3)]
    passed: list[list[bool]] = []
    threads = [
        threading.Thread(target=lambda: passed.append([verify(gold, text).passed for gold, text in pairs]))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert passed == [[True] * 78 + [False] * 13] * 8


def test_a_verdict_costs_operations_not_seconds() -> None:
    """What is refused is refused before it is computed."""
    start = time.process_time()
    for bomb in (r"(10^{9})!", r"\tan(10^{100000})", "2^{2^{2^{65536}}}", "1" + "0" * 1999, "(x+1)^{5000}+x^2"):
        verify("42", f"\\boxed{{{bomb}}}")
    assert time.process_time() - start < 5.0


# No model text is ever evaluated.

EVALUATORS = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "sympify",
    "parse_expr",
    "parse_latex",
    "simplify",
    "S",
    "literal_eval",
}
REWARDS = sorted((ROOT / "rewards").rglob("*.py"))


def _calls(source: str) -> set[str]:
    """Return the names a file calls, `x.y()` as `x.y`."""
    calls = [node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    names = {ast.unparse(func) for func in calls if isinstance(func, ast.Name | ast.Attribute)}
    return names | {name.rpartition(".")[2] for name in names if not name.startswith("re.")}


def imports_of(source: str) -> set[str]:
    """Return the modules a file imports anywhere."""
    nodes = list(ast.walk(ast.parse(source)))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}


@pytest.mark.parametrize("path", REWARDS, ids=lambda path: path.name)
def test_no_module_of_ours_calls_an_evaluator(path: Path) -> None:
    assert _calls(path.read_text("utf-8")) & EVALUATORS == set()


@pytest.mark.parametrize("line", ["eval(text)", "sympy.sympify(text)", "from x import S\nS(text)", "builtins.exec(a)"])
def test_a_call_of_an_evaluator_is_noticed(line: str) -> None:
    assert _calls(line) & EVALUATORS


def test_only_workers_import_a_library_that_evaluates() -> None:
    heavy = {"sympy", "math_verify", "latex2sympy2_extended", "numexpr", "pandas", "numpy", "ast", "code", "pickle"}
    importers = {path.relative_to(ROOT).as_posix(): imports_of(path.read_text("utf-8")) for path in REWARDS}
    found = {name: {module.partition(".")[0] for module in modules} & heavy for name, modules in importers.items()}
    assert {name: modules for name, modules in found.items() if modules} == {
        "rewards/symbolic.py": {"math_verify"},
        "rewards/conventions/math_verify.py": {"math_verify"},  # inside `unguarded`, which only a process calls
    }


def test_the_grading_path_imports_nothing_but_ours_and_the_standard_library() -> None:
    """Walk the import graph from grading.py: every model text that is read is read by these modules."""
    pending, seen = ["reasoning_grpo.rewards.answers.grading"], set()
    outside: set[str] = set()
    while pending:
        module = pending.pop()
        if module in seen:
            continue
        seen.add(module)
        for name in imports_of(
            (ROOT / f"{module.removeprefix('reasoning_grpo.').replace('.', '/')}.py").read_text("utf-8")
        ):
            if name.startswith("reasoning_grpo.rewards."):
                pending.append(name)
            else:
                outside.add(name.partition(".")[0])
    assert len(seen) >= 12
    assert outside - set(sys.stdlib_module_names) == {"mpmath"}


def test_the_worker_reads_latex_only() -> None:
    """math-verify reads plain expressions with parse_expr; it is told to look for LaTeX alone."""
    source = (ROOT / "rewards/symbolic.py").read_text("utf-8")
    assert "extraction_config=[LatexExtractionConfig()]" in source
    assert "ExprExtractionConfig" not in source
