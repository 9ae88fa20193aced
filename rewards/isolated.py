r"""A user's own verifier in a worker process: `RewardTerm(…, isolate=True, deadline_seconds=5.0)`.

For a verifier that may hang, crash or eat memory (one that runs code, say). The process imports the verifier before it
takes requests (`python -m reasoning_grpo.rewards.isolated REF BASE_DIR`); completions, problems and options cross as
JSON, so `Problem.meta` and options must be made of what JSON knows. A verifier late for its deadline is killed and the
completion is a TIMEOUT (score 0); one that dies twice on it is UNGRADABLE; one that raises is the same VerifierError as
without isolation.
"""

import dataclasses
import json
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reasoning_grpo.errors import VerifierError
from reasoning_grpo.rewards.processes import WorkerKind
from reasoning_grpo.rewards.registry import call_verifier, load_verifier
from reasoning_grpo.rewards.serving import Handler, Request, serve
from reasoning_grpo.rewards.workers import Reply, Status, run_jobs
from reasoning_grpo.schema import AnswerForm, AnswerFormat, Completion, Outcome, Problem, Verdict

DEADLINE_SECONDS = 5.0
MAX_MEMORY_BYTES = 4 * 2**30
_MODULE = "reasoning_grpo.rewards.isolated"


def judge_isolated(
    ref: str,
    base_dir: Path | None,
    pairs: Sequence[tuple[Completion, Problem]],
    *,
    name: str,
    options: Mapping[str, Any],
    deadline_seconds: float = DEADLINE_SECONDS,
    cancelled: threading.Event | None = None,
) -> list[Verdict]:
    """Return the verdicts of the verifier `ref` on many pairs, in order; each has `deadline_seconds` of wall time.

    Another thread may set `cancelled` to end this with workers.CancelledError.
    """
    kind = WorkerKind(_MODULE, (ref, str(base_dir or Path.cwd())))
    requests = [_request(completion, problem, name, options) for completion, problem in pairs]
    replies = run_jobs(requests, deadline_seconds, kind=kind, is_deadline_per_item=True, cancelled=cancelled)
    return [_verdict(reply, name, problem) for reply, (_, problem) in zip(replies, pairs, strict=True)]


def _request(completion: Completion, problem: Problem, name: str, options: Mapping[str, Any]) -> Request:
    plain = {key: dataclasses.asdict(v) if isinstance(v, AnswerFormat) else v for key, v in options.items()}
    problem_fields = {**dataclasses.asdict(dataclasses.replace(problem, meta={})), "meta": dict(problem.meta)}
    request = {"completion": dataclasses.asdict(completion), "problem": problem_fields, "name": name, "options": plain}
    try:
        json.dumps(request)
    except (TypeError, ValueError) as error:
        raise VerifierError(
            f"problem {problem.id!r} or the options of verifier {name!r} cannot be sent to its process: {error}; keep "
            "`meta` and options to what JSON knows, or leave `isolate` off"
        ) from error
    return request


def _verdict(reply: Reply, name: str, problem: Problem) -> Verdict:
    if reply.status is Status.DONE:
        fields = reply.value["verdict"]
        return Verdict(**{**fields, "outcome": Outcome(fields["outcome"])})
    if reply.status is Status.FAULT:
        raise VerifierError(reply.detail.removeprefix("VerifierError: "))
    is_lost = reply.status in (Status.CRASH, Status.STARVED)
    outcome = Outcome.UNGRADABLE if is_lost else Outcome.TIMEOUT
    detail = f"verifier {name!r} on problem {problem.id!r}: {reply.detail}"
    return Verdict(score=None if is_lost else 0.0, outcome=outcome, detail=detail, stage="isolated")


def _prepare() -> Handler:
    ref, base_dir = sys.argv[1:3]
    function = load_verifier(ref, Path(base_dir))

    def handle(request: Request) -> dict[str, Any]:
        options = dict(request["options"])
        if isinstance(options.get("answer_format"), dict):
            fields = options["answer_format"]
            options["answer_format"] = AnswerFormat(**{**fields, "form": AnswerForm(fields["form"])})
        completion, problem = Completion(**request["completion"]), Problem(**request["problem"])
        verdict = call_verifier(function, completion, problem, name=request["name"], options=options)
        return {"verdict": dataclasses.asdict(verdict)}

    return handle


if __name__ == "__main__":
    serve(_prepare, MAX_MEMORY_BYTES)
