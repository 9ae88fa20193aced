"""Benchmarks on disk: begin one, go on with one, and write down what came of it.

    prepare   verifier, problems, model, prompts; nothing is written before all of it is right
    begin     a folder with problems.jsonl and run.json: what is asked of which model
    collect   samples.jsonl grows by a row per completion, grading goes on beside it
    finish    attempts.jsonl, result.json and the end in run.json, each whole or not there

A run that stops anywhere goes on from its journal (`resume`); grading is done again, because it is cheap and its
verifier may have been mended. A verifier that raises ends the run and loses no completion.
"""

import contextlib
import dataclasses
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from reasoning_grpo import storage
from reasoning_grpo.data.prompts import RenderedPrompt
from reasoning_grpo.data.sources import LoadedProblems, fingerprint, load_problems
from reasoning_grpo.errors import DataError, UserError
from reasoning_grpo.eval import folder as folders
from reasoning_grpo.eval.backends import Backend
from reasoning_grpo.eval.backends.opening import ModelOptions, Opened, open_backend, options_from
from reasoning_grpo.eval.collecting import collect
from reasoning_grpo.eval.fingerprints import prompt_fingerprint
from reasoning_grpo.eval.power import DISCORDANCE, smallest_detectable
from reasoning_grpo.eval.runs import (
    ATTEMPTS_FILE,
    PROBLEMS_FILE,
    RESULT_FILE,
    SAMPLES_FILE,
    SCORED_TERM,
    Run,
    load_run,
    read_problems,
)
from reasoning_grpo.eval.settings import Settings
from reasoning_grpo.eval.suite import Suite
from reasoning_grpo.manifest import versions
from reasoning_grpo.rewards.compose import RewardSpec, RewardTerm
from reasoning_grpo.rewards.fingerprint import verifier_condition, verifier_facts
from reasoning_grpo.schema import AnswerForm, AnswerFormat, Attempt, Problem

_MARKS = {
    AnswerForm.TAGS: ("<answer>", "</answer>"),
    AnswerForm.BOXED: (r"\boxed",),
    AnswerForm.HASH: ("####",),
    AnswerForm.PLAIN: (),
}


def settings_for(suite: Suite, **changes: Any) -> Settings:
    """Return the suite's own settings with changes; a change to None is none."""
    asked = {name: value for name, value in changes.items() if value is not None}
    return Settings(**{"max_completion_tokens": suite.max_completion_tokens, "stop": suite.stop, **asked})


def benchmark(
    suite: Suite,
    options: ModelOptions,
    *,
    settings: Settings | None = None,
    prompt: str | None = None,
    verifier: str = "accuracy",
    out: Path = Path("out/bench"),
) -> tuple[Path, Run]:
    """Ask the model every problem of the suite; return the folder written and the run in it.

    Raises:
        UserError: the suite, the model or the verifier cannot be used; no folder was made then. Or the run had to stop
            on its way; the message says how to go on.
    """
    storage.check_new_folder(out)
    spec = _spec(verifier, Path.cwd())
    loaded = load_problems(suite.data)
    settings = settings or settings_for(suite)
    opened = open_backend(options, settings, prompt=prompt, suite_prompt=suite.prompt, form=suite.answer_form)
    prompts = [opened.backend.render(problem.question) for problem in loaded.problems]
    opened.backend.check(prompts)
    _check_stop(settings.stop, prompts[0].answer_format)
    spec = dataclasses.replace(spec, answer_format=prompts[0].answer_format)
    record = {
        "label": folders.slug(options.model),
        "term": SCORED_TERM,
        "conditions": _conditions(suite, loaded, opened, prompts[0], settings, spec),
        "facts": _facts(suite, loaded, opened, settings, spec),
    }
    folder = storage.new_folder(out, f"{suite.name}-{folders.slug(options.model)}")
    with storage.locked(folder), _gone_if_nothing_came(folder):
        folders.write_problems(folder / PROBLEMS_FILE, loaded.problems, [p.text for p in prompts])
        folders.write_record(folder, record)
        return folder, _run(folder, record, loaded.problems, prompts, opened.backend, settings, spec)


def resume(folder: Path, *, samples: int | None = None, **changes: Any) -> tuple[Path, Run]:
    """Go on with a benchmark, up to `samples` per problem; return what `benchmark` would.

    `changes` may name fields of `ModelOptions` that do not decide the answers, such as a model folder that has moved.

    Raises:
        UserError: there is no such benchmark, or model, prompts or problems are not what they were.
    """
    folders.read_plan(folder)
    with storage.locked(folder):
        record = folders.read_plan(folder)
        problems, texts = read_problems(folder)
        settings = _recorded_settings(record, samples)
        asked = {name: value for name, value in changes.items() if value is not None}
        options = ModelOptions(**{**options_from(record["facts"]), **asked})
        style = record["conditions"]["prompt"]["style"]
        opened = open_backend(options, settings, prompt=style, suite_prompt=None, form=None)
        prompts = [opened.backend.render(problem.question) for problem in problems]
        _check_same(folder, record, opened, problems, [texts[p.id] for p in problems], prompts)
        opened.backend.check(prompts)
        verifier, place = record["conditions"]["verifier"]["reference"], record["facts"]["verifier"]["base_dir"]
        spec = dataclasses.replace(_spec(verifier, Path(place)), answer_format=prompts[0].answer_format)
        record = _going_on(folder, record, opened, settings, spec)
        return folder, _run(folder, record, problems, prompts, opened.backend, settings, spec)


def _run(
    folder: Path,
    record: Mapping[str, Any],
    problems: Sequence[Problem],
    prompts: Sequence[RenderedPrompt],
    backend: Backend,
    settings: Settings,
    spec: RewardSpec,
) -> Run:
    _announce(record, len(problems), settings)
    attempts, seconds = collect(folder, record, problems, prompts, backend, settings, spec)
    return _finish(folder, record, problems, attempts, seconds)


def _check_stop(stop: Sequence[str], asked: AnswerFormat) -> None:
    """Refuse a stop text that cuts off what the prompt asks for: every answer would be none."""
    marks = [*_MARKS[asked.form], *(("<think>", "</think>") if asked.think else ())]
    for text in stop:
        if any(text in mark or mark in text for mark in marks):
            raise UserError(
                f"`stop` holds {text!r}, which is cut off with all that follows, and the prompt asks for "
                f"{' '.join(marks)}: no answer would be found; leave it out, for a model's own end token ends an answer"
            )


def _announce(record: Mapping[str, Any], num_problems: int, settings: Settings) -> None:
    """Say on stderr what is about to be asked, and what can be told from it."""
    samples, limit = settings.samples, settings.max_completion_tokens
    each = f", {samples} samples of each" if samples > 1 else ""
    most = num_problems * samples * limit
    detectable = 100 * smallest_detectable(num_problems, samples)
    lines = (
        f"{record['conditions']['suite']}: {num_problems:,} problems{each}, at most {limit:,} tokens an answer and "
        f"{most:,} in all",
        f"two models compared on this are told apart from about {detectable:.1f} points on (if they disagree on "
        f"{100 * DISCORDANCE:.0f} % of the problems)",
    )
    for line in lines:
        print(line, file=sys.stderr)


def _finish(
    folder: Path, record: Mapping[str, Any], problems: Sequence[Problem], attempts: Sequence[Attempt], seconds: float
) -> Run:
    """Write what came of it; `run.json` with the end in it is last."""
    folders.write_attempts(folder / ATTEMPTS_FILE, problems, attempts)
    finished = {**record, "facts": {**record["facts"], "seconds": seconds, "ended": storage.now()}}
    folders.write_record(folder, finished)
    run = load_run(folder)
    folders.write_result(folder, run)
    return run


def _spec(verifier: str, base_dir: Path) -> RewardSpec:
    spec = RewardSpec(terms=(RewardTerm(name=SCORED_TERM, verifier=verifier),), base_dir=base_dir)
    spec.check()
    return spec


def _conditions(
    suite: Suite,
    loaded: LoadedProblems,
    opened: Opened,
    prompt: RenderedPrompt,
    settings: Settings,
    spec: RewardSpec,
) -> dict[str, Any]:
    asked = prompt.answer_format
    return {
        "suite": suite.name,
        "data": loaded.fingerprint,
        "prompt": {
            "style": opened.style.name,
            "sha256": prompt_fingerprint(opened.backend.render),
            "think": asked.think,
            "think_prefilled": asked.think_prefilled,
        },
        "answer_form": asked.form,
        "sampling": settings.sampling(),
        "max_completion_tokens": settings.max_completion_tokens,
        "stop": settings.stop,
        "verifier": verifier_condition(verifier_facts(spec.terms[0], spec.base_dir)),
    }


def _facts(
    suite: Suite, loaded: LoadedProblems, opened: Opened, settings: Settings, spec: RewardSpec
) -> dict[str, Any]:
    return {
        **opened.facts,
        "samples": settings.samples,
        "seed": settings.seed,
        "origin": loaded.origin,
        "licence": suite.licence,
        "num_dropped_empty_answer": loaded.num_dropped_empty,
        "verifier": verifier_facts(spec.terms[0], spec.base_dir),
        "versions": versions(),
        "started": storage.now(),
        "ended": None,
        "resumed": [],
    }


def _recorded_settings(record: Mapping[str, Any], samples: int | None) -> Settings:
    conditions, facts = record["conditions"], record["facts"]
    if samples is not None and samples < facts["samples"]:
        raise UserError(
            f"`--samples` is {samples} and the run was asked for {facts['samples']}; those stay, so name more or leave "
            "it out"
        )
    return Settings(
        samples=samples or facts["samples"],
        seed=facts["seed"],
        max_completion_tokens=conditions["max_completion_tokens"],
        stop=tuple(conditions["stop"]),
        **conditions["sampling"],
    )


def _check_same(
    folder: Path,
    record: Mapping[str, Any],
    opened: Opened,
    problems: Sequence[Problem],
    texts: Sequence[str],
    prompts: Sequence[RenderedPrompt],
) -> None:
    """Refuse to mix what two models, two prompts or two sets of problems gave."""
    then, now = record["facts"]["model_fingerprint"], opened.facts["model_fingerprint"]
    if then != now:
        raise UserError(
            f"`{opened.facts['model']}` is not the model the run in `{folder}` began with ({now} instead of {then}); "
            "name that one with `--model`, or start a new run"
        )
    if record["conditions"]["data"] != fingerprint(problems):
        raise DataError(f"`{folder / PROBLEMS_FILE}` is not what the run began with; start a new run")
    changed = [p.id for p, then, now in zip(problems, texts, prompts, strict=True) if then != now.text]
    if changed:
        raise UserError(
            f"the prompt of problem {changed[0]!r} is not what it was when the run in `{folder}` began: the chat "
            "template or this package has changed; start a new run"
        )


def _going_on(
    folder: Path, record: Mapping[str, Any], opened: Opened, settings: Settings, spec: RewardSpec
) -> dict[str, Any]:
    """Take back the results, which speak of fewer samples or another verifier, and note that the run goes on."""
    for name in (ATTEMPTS_FILE, RESULT_FILE):
        (folder / name).unlink(missing_ok=True)
    judged = verifier_facts(spec.terms[0], spec.base_dir)
    resumed = [*record["facts"]["resumed"], {"time": storage.now(), "versions": versions()}]
    facts = {"samples": settings.samples, "ended": None, "resumed": resumed, "verifier": judged}
    changed = {
        **record,
        "conditions": {**record["conditions"], "verifier": verifier_condition(judged)},
        "facts": {**record["facts"], **opened.facts, **facts},
    }
    folders.write_record(folder, changed)
    return changed


@contextlib.contextmanager
def _gone_if_nothing_came(folder: Path) -> Iterator[None]:
    """Take a new folder away when its run ends without one completion."""
    try:
        yield
    except BaseException:
        if not folders.count_lines(folder / SAMPLES_FILE):
            shutil.rmtree(folder, ignore_errors=True)
        raise
