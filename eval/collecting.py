"""Completions into the journal and through the grader: the part of a benchmark that takes long and may be stopped."""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reasoning_grpo.data.prompts import RenderedPrompt
from reasoning_grpo.errors import DataError, RunInterrupted, UserError
from reasoning_grpo.eval.backends import Ask, Backend
from reasoning_grpo.eval.fingerprints import sample_key
from reasoning_grpo.eval.folder import count_lines
from reasoning_grpo.eval.harness import Answered, Grader, answer_and_grade, asks_for
from reasoning_grpo.eval.journal import Journal, Sample
from reasoning_grpo.eval.runs import SAMPLES_FILE
from reasoning_grpo.eval.settings import Settings
from reasoning_grpo.progress import Bar, progress
from reasoning_grpo.rewards.compose import RewardSpec
from reasoning_grpo.schema import Attempt, Completion, Problem


def collect(
    folder: Path,
    record: Mapping[str, Any],
    problems: Sequence[Problem],
    prompts: Sequence[RenderedPrompt],
    backend: Backend,
    settings: Settings,
    spec: RewardSpec,
) -> tuple[list[Attempt], float]:
    """Ask for every sample the journal does not have; return all attempts, and the seconds all of them took.

    Raises:
        UserError: the run had to stop; the message says what is kept and how to go on.
    """
    asks = asks_for(prompts, settings.samples)
    keys = {_place(ask): _key(ask, record, settings) for ask in asks}
    with _way_on(folder, len(asks)), Journal(folder / SAMPLES_FILE) as journal:
        _check_keys(folder, journal, set(keys.values()))
        missing = [ask for ask in asks if keys[_place(ask)] not in journal.samples]
        num_known = len(asks) - len(missing)
        with progress(f"bench {record['conditions']['suite']}", total=len(asks), done=num_known) as bar:
            desk = _Desk(journal, Grader(spec), problems, keys, bar, len(asks))
            desk.grade_known(asks)
            answer_and_grade(problems, missing, backend, desk.grader, desk.take)
        return desk.grader.finish(), desk.seconds


@dataclass(slots=True)
class _Desk:
    """Where completions come by: each goes into the journal, and into a figure beside the bar."""

    journal: Journal
    grader: Grader
    problems: Sequence[Problem]
    keys: Mapping[tuple[int, int], str]
    bar: Bar
    num_asked: int
    num_done: int = 0
    num_tokens: int = 0
    seconds: float = 0.0
    last: float = field(default_factory=time.monotonic)

    def grade_known(self, asks: Sequence[Ask]) -> None:
        """Hand the grader what the journal has."""
        for ask in asks:
            sample = self.journal.samples.get(self.keys[_place(ask)])
            if sample is not None:
                problem = self.problems[ask.number]
                self.grader.add(Answered(problem=problem, sample=ask.sample, completion=sample.completion))
                self.seconds += sample.seconds
                self.num_done += 1
                self.num_tokens += sample.completion.num_tokens or 0
        self.last = time.monotonic()

    def take(self, ask: Ask, completion: Completion) -> None:
        """Write one completion down."""
        now = time.monotonic()
        sample = Sample(
            key=self.keys[_place(ask)],
            problem_id=self.problems[ask.number].id,
            sample=ask.sample,
            completion=completion,
            seconds=now - self.last,
        )
        self.journal.add(sample)
        self.last = now
        self.seconds += sample.seconds
        self.num_done += 1
        self.num_tokens += completion.num_tokens or 0
        self.bar.advance(1, self._note())

    def _note(self) -> str:
        notes = []
        if self.num_tokens:
            each = self.num_tokens / self.num_done
            notes.append(f"{each:.0f} tokens each, about {each * self.num_asked:,.0f} in all")
        if num_graded := len(self.grader.attempts):
            notes.append(f"{100 * self.grader.num_passed / num_graded:.1f} % right")
        return "; ".join(notes)


def _place(ask: Ask) -> tuple[int, int]:
    return ask.number, ask.sample


def _key(ask: Ask, record: Mapping[str, Any], settings: Settings) -> str:
    model = record["facts"]["model_fingerprint"]
    return sample_key(ask.prompt.text, model, settings.identity(), number=ask.number, sample=ask.sample)


def _check_keys(folder: Path, journal: Journal, keys: set[str]) -> None:
    for sample in journal.samples.values():
        if sample.key not in keys:
            raise DataError(
                f"`{folder / SAMPLES_FILE}` has a sample of problem {sample.problem_id!r} that is not of this run: its "
                "model, prompt or sampling is another; move the file away, or start a new run"
            )


@contextlib.contextmanager
def _way_on(folder: Path, num_samples: int) -> Iterator[None]:
    """Say how to go on when a run ends before its end."""

    def words() -> str:
        num_kept = count_lines(folder / SAMPLES_FILE)
        return f"{num_kept} of {num_samples} samples are kept; `reasoning-grpo bench --resume {folder}` goes on"

    try:
        yield
    except (KeyboardInterrupt, UserError) as error:
        if not count_lines(folder / SAMPLES_FILE):
            raise
        if isinstance(error, KeyboardInterrupt):
            raise RunInterrupted(words()) from None
        raise type(error)(f"{error}; {words()}") from error
    except Exception as error:
        error.add_note(words())
        raise
