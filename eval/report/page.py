"""One HTML page that opens offline: figures, filters, and any attempt with why the verifier said so.

The page is `page.html` with the style, the script and the data put in. Model text is hostile: it travels as JSON in a
script element that no browser runs, with every sign escaped that could end that element, and `page.js` shows it as text
only. A content security policy allows the page's own style and script by their hashes and nothing else, from nowhere.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from reasoning_grpo import storage
from reasoning_grpo.errors import UserError
from reasoning_grpo.eval.report.record import notices
from reasoning_grpo.eval.report.texts import cut, segments
from reasoning_grpo.eval.runs import GROUPINGS, Run
from reasoning_grpo.schema import Attempt, Problem

MAX_CHARS = 48_000_000  # of texts in a page; a browser on a phone opens this
TEXT_LIMITS = (100_000, 50_000, 20_000, 10_000, 5_000, 2_000, 1_000, 500)

# What could end a script element, start a comment in it, or end a line of JavaScript; \uXXXX is JSON for the same.
_ESCAPES = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"}


def html_page(record: Mapping[str, Any], runs: Sequence[Run]) -> str:
    """Return the page for a report and the runs it is about.

    Raises:
        UserError: the runs have too many attempts for one page.
    """
    style, script = _file("page.css"), _file("page.js")
    parts = {
        "@STYLE_HASH@": _csp_hash(style),
        "@SCRIPT_HASH@": _csp_hash(script),
        "@STYLE@": style,
        "@SCRIPT@": script,
        "@DATA@": embedded({"report": _without_flips(record), "page": page_data(runs, record)}),
    }
    page = _file("page.html")
    for mark, text in parts.items():  # the data comes last: a mark in model text stays what it is
        page = page.replace(mark, text, 1)
    return page


def embedded(value: Any) -> str:
    """Return ASCII JSON that is safe inside a script element."""
    return json.dumps(storage.finite(value), allow_nan=False, separators=(",", ":")).translate(_ESCAPES)


def page_data(runs: Sequence[Run], record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the problems and attempts as `page.js` reads them."""
    limit = text_limit(runs)
    problems = list({problem.id: problem for run in reversed(runs) for problem in run.problems}.values())
    overlaps = [run["overlap"]["problem_ids"] for run in record["runs"] if run["overlap"]]
    prompts = [{id_: cut(prompt, limit) for id_, prompt in run.prompts.items()} for run in runs]
    same = len(prompts) == 2 and prompts[0] == prompts[1]
    return {
        "notices": [*notices(record), *_cut_notice(runs, limit)],
        "groups": [name for name in GROUPINGS if len({str(problem.meta.get(name)) for problem in problems}) > 1],
        "problems": [_problem(problem, limit) for problem in problems],
        "prompts": prompts[:1] if same else prompts,
        "attempts": [[_attempt(run, attempt, limit) for attempt in run.attempts] for run in runs],
        "has_samples": any(attempt.sample for run in runs for attempt in run.attempts),
        "overlapping": sorted({id_ for ids in overlaps for id_ in ids}) if overlaps else None,
    }


def text_limit(runs: Sequence[Run], max_chars: int = MAX_CHARS) -> int:
    """Return how many characters of each text a page has room for.

    Raises:
        UserError: not even the shortest limit fits.
    """
    lengths = [len(attempt.completion.text) for run in runs for attempt in run.attempts]
    lengths += [len(prompt) for run in runs for prompt in run.prompts.values()]
    lengths += [len(text) for run in runs for problem in run.problems for text in (problem.question, problem.answer)]
    for limit in TEXT_LIMITS:
        if sum(min(length, limit) for length in lengths) <= max_chars:
            return limit
    raise UserError(
        f"{sum(len(run.attempts) for run in runs):,} attempts are too many for one page; write `--json` or "
        "`--markdown`, or report a part of the run"
    )


def _cut_notice(runs: Sequence[Run], limit: int) -> list[str]:
    num_cut = sum(len(attempt.completion.text) > limit for run in runs for attempt in run.attempts)
    if not num_cut:
        return []
    return [
        f"{num_cut:,} completions are longer than {limit:,} characters: of these the page shows the beginning and the "
        "end. The run holds them whole."
    ]


def _problem(problem: Problem, limit: int) -> dict[str, Any]:
    groups = {name: str(problem.meta[name]) for name in GROUPINGS if name in problem.meta}
    question, gold = cut(problem.question, limit), cut(problem.answer, limit)
    return {"id": problem.id, "question": question, "gold": gold, "groups": groups}


def _attempt(run: Run, attempt: Attempt, limit: int) -> dict[str, Any]:
    verdict = run.verdict(attempt)
    return {
        "problem_id": attempt.problem_id,
        "sample": attempt.sample,
        "segments": segments(attempt.completion.text, verdict, limit, think_prefilled=_prefilled(run)),
        "num_tokens": attempt.completion.num_tokens,
        "truncated": attempt.completion.truncated,
        "outcome": str(verdict.outcome),
        "score": verdict.score,
        "extracted": None if verdict.extracted is None else cut(verdict.extracted, limit),
        "detail": cut(verdict.detail, limit),
        "place": verdict.place,
        "stage": verdict.stage,
    }


def _prefilled(run: Run) -> bool:
    prompt = run.conditions.get("prompt")
    return isinstance(prompt, Mapping) and bool(prompt.get("think_prefilled"))


def _without_flips(record: Mapping[str, Any]) -> dict[str, Any]:
    """The page finds them among its attempts: their texts need not be there twice."""
    comparison = record["comparison"]
    kept = comparison and {name: value for name, value in comparison.items() if name != "flips"}
    return {**record, "comparison": kept}


def _csp_hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _file(name: str) -> str:
    return resources.files("reasoning_grpo.eval.report").joinpath(name).read_text("utf-8")
