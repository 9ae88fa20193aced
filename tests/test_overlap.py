"""Does a benchmark stand in a training set? Small cases by hand, and MATH against MATH."""

import os
from dataclasses import replace

import pytest
from handmade_runs import run_of

from reasoning_grpo.data.sources import DataSource, load_problems
from reasoning_grpo.errors import UserError
from reasoning_grpo.eval.overlap import find_overlap, ngrams, overlap_figures
from reasoning_grpo.schema import Problem

WORDS = [f"w{number}" for number in range(40)]


def problem(question: str, id_: str = "a") -> Problem:
    return Problem(id=id_, question=question, answer="1")


def found(question: str, train: str) -> tuple[bool, float | None]:
    one = find_overlap([problem(question)], [problem(train)])["a"]
    return one.exact, one.share


def test_spacing_case_and_signs_do_not_hide_an_exact_copy() -> None:
    assert found("What is $2+3$?", "what IS 2 + 3") == (True, None)


def test_a_question_of_fewer_than_thirteen_words_has_no_ngram() -> None:
    assert found(" ".join(WORDS[:12]), " ".join(WORDS)) == (False, None)


def test_the_share_counts_the_questions_own_ngrams() -> None:
    # 15 words have 3 runs of 13; the training question holds the first two of them
    assert found(" ".join(WORDS[:15]), " ".join(WORDS[:14])) == (False, 2 / 3)


def test_half_of_the_ngrams_is_an_overlap() -> None:
    # 14 words have 2 runs of 13
    one = find_overlap([problem(" ".join(WORDS[:14]))], [problem(" ".join([*WORDS[:13], "other"]))])["a"]
    assert (one.share, one.is_overlapping) == (0.5, True)


def test_less_than_half_is_none() -> None:
    one = find_overlap([problem(" ".join(WORDS[:15]))], [problem(" ".join([*WORDS[:13], "other"]))])["a"]
    assert (round(one.share or 0, 4), one.is_overlapping) == (0.3333, False)


def test_a_document_as_a_question_is_read_only_so_far() -> None:
    assert len(ngrams(" ".join(str(number) for number in range(100_000)))) == 4_096 - 12


def test_accuracy_is_given_on_either_part() -> None:
    run = run_of({"a": "1", "b": "0", "c": "1"})  # questions are "question a" …
    figures, ids = overlap_figures(run, [problem("Question: A!", "t")], "somewhere")
    assert ids == {"a"}
    assert (figures["clean"]["accuracy"], figures["overlapping"]["accuracy"]) == (0.5, 1.0)
    assert (figures["num_exact"], figures["num_short"], figures["overlapping"]["num_problems"]) == (1, 3, 1)


def test_an_empty_part_has_no_figures() -> None:
    figures, _ = overlap_figures(run_of({"a": "1"}), [problem("another", "t")], "somewhere")
    assert figures["overlapping"] is None


def test_a_run_without_questions_is_refused() -> None:
    run = run_of({"a": "1"})
    silent = replace(run, problems=tuple(replace(one, question="") for one in run.problems))
    with pytest.raises(UserError, match="does not hold its questions"):
        overlap_figures(silent, [], "somewhere")


@pytest.mark.skipif("REASONING_GRPO_DATA" not in os.environ, reason="REASONING_GRPO_DATA is not set")
def test_math_stands_in_its_own_training_set() -> None:
    benchmark = load_problems(DataSource(name="math", split="test")).problems
    train = load_problems(DataSource(name="math", split="train")).problems
    overlaps = find_overlap(benchmark, train).values()
    # ten train problems are exact copies; one of them stands twice in the test set
    assert sum(one.exact for one in overlaps) == 11
    assert sum(one.share is not None and one.share >= 0.5 for one in overlaps) == 170
    assert sum(one.is_overlapping for one in overlaps) == 172
