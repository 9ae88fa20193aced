"""Problems -> TRL's dataset columns, RewardSpec -> TRL's reward function. The only file that knows TRL's reward call.

The whole spec is one reward function: a term that abstains makes the whole reward None, which TRL 1.16 keeps out of the
group's baseline. Given as several functions, TRL would count an abstention as 0 as soon as another function exists.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from reasoning_grpo.errors import DataError
from reasoning_grpo.rewards.compose import RewardSpec, Scored
from reasoning_grpo.schema import Attempt, Completion, Outcome, Problem

if TYPE_CHECKING:
    from datasets import Dataset

    from reasoning_grpo.data.prompts import RenderedPrompt

PROBLEM_COLUMN = "problem_json"
PREFILL_COLUMN = "prefill"


def to_dataset(problems: Sequence[Problem], prompts: "Sequence[RenderedPrompt]") -> "Dataset":
    """Return a dataset with TRL's `prompt` column (rendered text) and the problem beside it.

    The problem travels as JSON because Arrow would force one type on `meta`'s values across rows.
    """
    from datasets import Dataset

    return Dataset.from_dict(
        {
            "prompt": [prompt.text for prompt in prompts],
            PREFILL_COLUMN: [prompt.prefill for prompt in prompts],
            PROBLEM_COLUMN: [_problem_to_json(problem) for problem in problems],
        }
    )


class RewardFunction:
    """A RewardSpec in the shape TRL calls; `reward_funcs=RewardFunction(spec)` works in a stock `trl.GRPOTrainer`.

    Without `end_ids` it is not known whether a completion was cut off, and none counts as truncated. Datasets that were
    not made by `to_dataset` need a gold column, `answer` unless named otherwise. The attempts and problems of the last
    call stay in `last_attempts` and `last_problems`, in the order of the call.
    """

    __name__ = "reward"

    def __init__(
        self, spec: RewardSpec, *, end_ids: Collection[int] | None = None, answer_column: str = "answer"
    ) -> None:
        spec.check()
        self.spec = spec
        self.end_ids = frozenset(end_ids) if end_ids is not None else None
        self.answer_column = answer_column
        self.last_attempts: list[Attempt] = []
        self.last_problems: list[Problem] = []
        self._announced: list[tuple[Completion, Scored]] | None = None

    def announce(self, completions: Sequence[Completion], scored: Sequence[Scored]) -> None:
        """Make the next call hand out these scores: its completions have been judged while they were written."""
        self._announced = list(zip(completions, scored, strict=True))

    def __call__(
        self,
        *,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        completion_ids: Sequence[Sequence[int]] | None = None,
        log_metric: Callable[[str, float], None] | None = None,
        **columns: Any,
    ) -> list[float | None]:
        """Return one reward per completion; None abstains."""
        problems = self.problems(prompts, columns)
        prefills = columns.get(PREFILL_COLUMN) or [""] * len(completions)
        ids = completion_ids if completion_ids is not None else [None] * len(completions)
        wrapped = [
            self.completion(text, row_ids, prefill)
            for prefill, text, row_ids in zip(prefills, completions, ids, strict=True)
        ]
        scored = self._announced_scores(wrapped) or self.spec.score_batch(wrapped, problems)
        samples = _sample_numbers(problems)
        self.last_problems = problems
        self.last_attempts = [
            Attempt(problem_id=p.id, sample=n, completion=c, verdicts=s.verdicts, reward=s.reward)
            for p, n, c, s in zip(problems, samples, wrapped, scored, strict=True)
        ]
        if log_metric is not None:
            for name, value in term_metrics(self.last_attempts, self.spec).items():
                log_metric(name, value)
        return [s.reward for s in scored]

    def _announced_scores(self, completions: Sequence[Completion]) -> list[Scored]:
        announced, self._announced = self._announced or [], None
        if announced and [completion for completion, _ in announced] != list(completions):
            raise RuntimeError("TRL asks for the rewards of other completions than were announced; please report this")
        return [scored for _, scored in announced]

    def completion(self, text: Any, ids: Sequence[int] | None, prefill: str = "") -> Completion:
        """Return what verifiers see of a completion: the prompt's share of it included."""
        truncated = bool(ids) and self.end_ids is not None and ids[-1] not in self.end_ids  # type: ignore[index]
        return Completion(
            text=prefill + _plain_text(text), num_tokens=None if ids is None else len(ids), truncated=truncated
        )

    def problems(self, prompts: Sequence[Any], columns: Mapping[str, Any]) -> list[Problem]:
        """Return each row's problem; rows of one group share the object, so that equal completions are judged once.

        Raises:
            DataError: the rows have no column with the gold answers.
        """
        if PROBLEM_COLUMN in columns:
            known = {text: _problem_from_json(text) for text in dict.fromkeys(columns[PROBLEM_COLUMN])}
            return [known[text] for text in columns[PROBLEM_COLUMN]]
        if self.answer_column not in columns:
            names = ", ".join(sorted(name for name, value in columns.items() if isinstance(value, list)))
            raise DataError(
                f"the training dataset has no column `{self.answer_column}` with the gold answers (columns: {names}); "
                "name yours with `RewardFunction(spec, answer_column=...)`"
            )
        pairs = [
            (_plain_text(prompt), str(gold)) for prompt, gold in zip(prompts, columns[self.answer_column], strict=True)
        ]
        made = {pair: _problem_of_prompt(*pair) for pair in dict.fromkeys(pairs)}
        return [made[pair] for pair in pairs]


def term_metrics(attempts: Sequence[Attempt], spec: RewardSpec) -> dict[str, float]:
    """Return per term the mean score and the share of every outcome seen, named `<term>/<what>`."""
    metrics: dict[str, float] = {}
    for term in spec.terms:
        verdicts = [attempt.verdicts[term.name] for attempt in attempts]
        scores = [verdict.score for verdict in verdicts if verdict.score is not None]
        if scores:
            metrics[f"{term.name}/score"] = sum(scores) / len(scores)
        counts = Counter(verdict.outcome for verdict in verdicts)
        # Every outcome on every rank: TRL gathers metrics by name.
        metrics.update({f"{term.name}/{outcome}": counts[outcome] / len(verdicts) for outcome in Outcome})
    return metrics


def _sample_numbers(problems: Iterable[Problem]) -> list[int]:
    """Number the completions of each problem from 0."""
    seen: defaultdict[str, int] = defaultdict(int)
    numbers = []
    for problem in problems:
        numbers.append(seen[problem.id])
        seen[problem.id] += 1
    return numbers


def _problem_of_prompt(text: str, gold: str) -> Problem:
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:12]
    return Problem(id=f"prompt-{digest}", question=text, answer=gold)


def _plain_text(message: Any) -> str:
    """Return the text of a completion or prompt: plain, or the last message of a conversation."""
    return message if isinstance(message, str) else str(message[-1].get("content") or "")


def _problem_to_json(problem: Problem) -> str:
    fields = ("id", "question", "answer", "source")
    return json.dumps({**{name: getattr(problem, name) for name in fields}, "meta": dict(problem.meta)})


def _problem_from_json(text: str) -> Problem:
    return Problem(**json.loads(text))
