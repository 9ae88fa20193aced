r"""Measure the verifier: accuracy, adversarial texts, bombs, golds against themselves, speed against math-verify.

    REASONING_GRPO_VERIFIER_CORPUS=FOLDER python benchmarks/verifier.py [--json FILE]

The folder holds `corpus.jsonl.gz`, `selfcheck_golds.jsonl.gz` and `perf_pairs.jsonl.gz`: rows with `gold`, `pred`,
`label` ("accept" or "reject") and `class`. Any missing file leaves its lines out. Speed is measured in chunks of 50
pairs that alternate between the two graders in one process, caches emptied before each of ours; the ratio is the median
of the chunks' ratios. `p99_cpu_ms` counts CPU time, which other processes do not lengthen. A bomb is a row whose class
is `adv_bomb`; the time of the slowest is reported.
"""

import argparse
import gzip
import importlib.metadata
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from reasoning_grpo.rewards import verify
from reasoning_grpo.rewards.correctness import forget

Row = dict[str, Any]


def score(gold: str, text: str) -> float | None:
    """Return the score alone; the form that other benchmark harnesses call."""
    return verify(gold, text).score


def accuracy(rows: list[Row]) -> dict[str, float]:
    """Return shares in per cent over the rows and, within, over the boxed and the adversarial ones."""
    findings = [(row, verify(row["gold"], row["pred"]).passed) for row in rows if row["class"] != "adv_bomb"]
    adversarial = [pair for pair in findings if pair[0]["class"].startswith("adv_")]
    boxed = [pair for pair in findings if "\\boxed" in pair[0]["pred"] and "<answer>" not in pair[0]["pred"]]
    return {
        "pairs": len(findings),
        "right_%": _right(findings),
        "boxed_pairs": len(boxed),
        "boxed_false_accepts_%": _wrong(boxed, "reject"),
        "boxed_false_rejects_%": _wrong(boxed, "accept"),
        "false_accepts_%": _wrong(findings, "reject"),
        "false_rejects_%": _wrong(findings, "accept"),
        "adversarial_pairs": len(adversarial),
        "adversarial_right_%": _right(adversarial),
    }


def bombs(rows: list[Row]) -> dict[str, float]:
    """Return how long the bombs took."""
    seconds = [_timed(row)[0] for row in rows if row["class"] == "adv_bomb"] or [0.0]
    return {"bombs": len(seconds), "bombs_under_1_s": sum(s < 1.0 for s in seconds), "slowest_bomb_s": max(seconds)}


def self_check(rows: list[Row]) -> dict[str, float]:
    """Return how many golds pass as their own answers, and how many other golds do."""
    findings = [(row, verify(row["gold"], row["pred"]).passed) for row in rows]
    own = [passed for row, passed in findings if row["label"] == "accept"]
    others = [passed for row, passed in findings if row["label"] == "reject"]
    return {"own_golds": len(own), "own_accepted": sum(own), "other_golds": len(others), "other_accepted": sum(others)}


def speed(rows: list[Row], chunk: int = 50) -> dict[str, float]:
    """Return pairs per second and the ratio to math-verify, interleaved chunk by chunk, and our slowest per cent."""
    theirs = _math_verify()
    ratios: list[float] = []
    ours_per_s: list[float] = []
    theirs_per_s: list[float] = []
    all_seconds: list[float] = []
    cpu_seconds: list[float] = []
    symbolic = 0
    for start in range(0, len(rows), chunk):
        part = rows[start : start + chunk]
        began = time.perf_counter()
        for row in part:
            theirs(row["gold"], row["pred"])
        their_time = time.perf_counter() - began
        forget()
        timed = [_timed(row) for row in part]
        our_time = sum(seconds for seconds, _ in timed)
        all_seconds += [seconds for seconds, _ in timed]
        forget()
        cpu_seconds += [_timed(row, time.thread_time)[0] for row in part]
        symbolic += sum(stage == "symbolic" for _, stage in timed)
        ratios.append(their_time / our_time)
        ours_per_s.append(len(part) / our_time)
        theirs_per_s.append(len(part) / their_time)
    return {
        "perf_pairs": len(rows),
        "pairs_per_s": statistics.median(ours_per_s),
        "math_verify_pairs_per_s": statistics.median(theirs_per_s),
        "times_math_verify": statistics.median(ratios),
        "p99_ms": 1e3 * sorted(all_seconds)[int(0.99 * len(all_seconds))],
        "p99_cpu_ms": 1e3 * sorted(cpu_seconds)[int(0.99 * len(cpu_seconds))],
        "symbolic_%": 100 * symbolic / len(rows),
    }


def _timed(row: Row, clock: Callable[[], float] = time.perf_counter) -> tuple[float, str]:
    start = clock()
    stage = verify(row["gold"], row["pred"]).stage
    return clock() - start, stage


def _right(findings: list[tuple[Row, bool]]) -> float:
    num_right = sum(passed is (row["label"] == "accept") for row, passed in findings)
    return 100 * num_right / max(1, len(findings))


def _wrong(findings: list[tuple[Row, bool]], label: str) -> float:
    labelled = [passed for row, passed in findings if row["label"] == label]
    num_wrong = sum(passed == (label == "reject") for passed in labelled)
    return 100 * num_wrong / max(1, len(labelled))


def _math_verify() -> Callable[[str, str], bool]:
    from math_verify import parse
    from math_verify import verify as verify_parsed

    return lambda gold, text: bool(verify_parsed(parse(f"${gold}$"), parse(text)))


def _rows(folder: Path, name: str) -> list[Row]:
    path = folder / name
    if not path.is_file():
        return []
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _machine() -> dict[str, str]:
    versions = {name: importlib.metadata.version(name) for name in ("math-verify", "sympy", "mpmath")}
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"date": time.strftime("%Y-%m-%d"), "python": platform.python_version(), "cpus": str(cpus), **versions}


def main() -> int:
    """Print the figures, one per line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", default=os.environ.get("REASONING_GRPO_VERIFIER_CORPUS"))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.folder is None:
        parser.error("name the corpus folder, or set REASONING_GRPO_VERIFIER_CORPUS to it")
    verify(r"\sqrt{2}", r"\boxed{\frac{2}{\sqrt{2}}}")  # imports are not what is measured
    figures: dict[str, float] = {}
    parts = [("corpus", accuracy), ("corpus", bombs), ("selfcheck_golds", self_check), ("perf_pairs", speed)]
    for name, measure in parts:
        rows = _rows(Path(options.folder), f"{name}.jsonl.gz")
        figures |= measure(rows) if rows else {}
    for name, value in figures.items():
        print(f"{name:28} {value:10.2f}" if isinstance(value, float) else f"{name:28} {value:10}")
    if options.json:
        options.json.write_text(json.dumps({**_machine(), **figures}, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(_machine()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
