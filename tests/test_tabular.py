import json
import math
from decimal import Decimal
from typing import Any

import pytest

from reasoning_grpo.data.files import Row
from reasoning_grpo.data.tabular import Columns, problems
from reasoning_grpo.errors import DataError
from reasoning_grpo.schema import Problem


def _rows(*cells: dict[str, Any]) -> list[Row]:
    return [Row(values, f"`t`, row {number}") for number, values in enumerate(cells, start=1)]


def _problems(*cells: dict[str, Any], **columns: str) -> list[Problem]:
    return list(problems(_rows(*cells), Columns(**columns), source="s", id_prefix="p"))


def _answer_of_json(line: str) -> str:
    row = Row(json.loads(line), "`t`, line 1", line)
    return next(problems([row], Columns(), source="s", id_prefix="p")).answer


@pytest.mark.parametrize(
    ("question", "answer"),
    [("question", "answer"), ("problem", "gold"), ("prompt", "target"), ("Problem", "Final_Answer")],
)
def test_usual_column_names_are_found_without_naming_them(question: str, answer: str) -> None:
    (problem,) = _problems({"other": 1, question: "1 + 1?", answer: "2"})
    assert (problem.question, problem.answer, problem.meta) == ("1 + 1?", "2", {"other": 1})


def test_named_columns_win_over_usual_ones_and_the_rest_is_meta() -> None:
    row = {"question": "old", "answer": "0", "q": "1 + 1?", "a": "2", "key": "k"}
    (problem,) = _problems(row, question="q", answer="a", id="key")
    meta = {"question": "old", "answer": "0"}
    assert problem == Problem(id="k", question="1 + 1?", answer="2", source="s", meta=meta)


def test_rows_without_an_id_column_are_numbered_from_zero() -> None:
    found = _problems({"question": "a", "answer": "1"}, {"question": "b", "answer": "2"})
    assert [problem.id for problem in found] == ["p/0", "p/1"]


def test_an_id_column_is_used_and_an_empty_name_for_it_numbers_the_rows() -> None:
    row = {"question": "a", "answer": "1", "id": 7}
    assert _problems(row)[0].id == "7"
    assert _problems(row, id="")[0].id == "p/0"


def test_text_is_kept_raw() -> None:
    (problem,) = _problems({"question": " a\n", "answer": " 2 \\text{ euros}"})
    assert (problem.question, problem.answer) == (" a\n", " 2 \\text{ euros}")


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("72", "72"),
        ("72.0", "72.0"),
        ("72.00", "72.00"),
        ("-1e-3", "-1e-3"),
        ("12345678901234567890123", "12345678901234567890123"),
        ("0.1000000000000000055", "0.1000000000000000055"),
        ("true", "true"),
        ("null", ""),
        ("NaN", ""),
        ('" 72 "', " 72 "),
    ],
)
def test_a_json_answer_becomes_the_text_it_was_written_as(written: str, text: str) -> None:
    assert _answer_of_json(f'{{"question": "q", "answer": {written}}}') == text


def test_meta_keeps_json_numbers_as_numbers() -> None:
    line = '{"question": "q", "answer": 1.50, "level": 5}'
    (problem,) = problems([Row(json.loads(line), "w", line)], Columns(), source="s", id_prefix="p")
    assert (problem.answer, problem.meta) == ("1.50", {"level": 5})


@pytest.mark.parametrize(
    ("value", "text"), [(72, "72"), (72.5, "72.5"), (Decimal("1.50"), "1.50"), (math.nan, ""), (False, "false")]
)
def test_a_parquet_answer_becomes_text(value: Any, text: str) -> None:
    assert _problems({"question": "q", "answer": value})[0].answer == text


@pytest.mark.parametrize("value", [["72"], {"value": "72"}, math.inf, b"72"])
def test_an_answer_that_is_no_text_and_no_number_is_a_data_error(value: Any) -> None:
    good = {"question": "q", "answer": "1"}
    with pytest.raises(DataError, match=r"^`t`, row 2 has a \w+ in column 'answer'"):
        _problems(good, {"question": "q", "answer": value})


def test_half_a_surrogate_pair_is_a_data_error() -> None:
    with pytest.raises(DataError, match="row 1 has half a character"):
        _problems({"question": json.loads(r'"\ud83d"'), "answer": "1"})


@pytest.mark.parametrize("question", ["", " \n", None])
def test_an_empty_question_is_a_data_error(question: str | None) -> None:
    with pytest.raises(DataError, match="row 1 has an empty question"):
        _problems({"question": question, "answer": "1"})


def test_an_empty_id_is_a_data_error() -> None:
    with pytest.raises(DataError, match="row 1 has an empty id in column 'id'"):
        _problems({"question": "q", "answer": "1", "id": None})


def test_a_misspelt_column_names_the_close_one_and_all_that_are_there() -> None:
    with pytest.raises(DataError) as caught:
        _problems({"question": "q", "solution": "1"}, answer="solutoin")
    assert str(caught.value) == (
        "`t`, row 1 has no column 'solutoin' for `answer_column`; "
        "did you mean 'solution'? (columns there: question, solution)"
    )


def test_columns_that_cannot_be_guessed_list_what_is_there_and_the_option_to_set() -> None:
    with pytest.raises(DataError) as caught:
        _problems({"question": "q", "response": "1"})
    assert str(caught.value) == (
        "`t`, row 1 has none of the columns answer, gold, target, final_answer; "
        "name one with `answer_column`; known: question, response"
    )


def test_a_later_row_without_the_column_is_named() -> None:
    with pytest.raises(DataError, match="row 2 has no column 'answer'"):
        _problems({"question": "q", "answer": "1"}, {"question": "q"})


def test_a_worked_gsm8k_solution_is_not_taken_for_a_final_answer() -> None:
    worked = {"question": "q", "answer": "48/2 = 24\n#### 24"}
    with pytest.raises(DataError, match="use the source `gsm8k`"):
        _problems(worked)
    assert _problems(worked, answer="answer")[0].answer == "48/2 = 24\n#### 24"  # asked for by name


def test_a_table_without_rows_has_no_problems() -> None:
    assert _problems() == []
