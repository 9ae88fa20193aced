"""Reports: the record has its schema's form, and the page holds every attempt, shows text as text and loads nothing."""

import html.parser
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from handmade_runs import run_of
from jsonschema import Draft202012Validator

from reasoning_grpo import storage
from reasoning_grpo.cli import main
from reasoning_grpo.errors import UserError
from reasoning_grpo.eval.report.markdown import markdown
from reasoning_grpo.eval.report.page import html_page, text_limit
from reasoning_grpo.eval.report.record import TrainData, report_record, schema
from reasoning_grpo.eval.report.texts import cut, segments
from reasoning_grpo.eval.runs import Run
from reasoning_grpo.schema import Completion, Outcome, Problem, Verdict

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)><!-- <script> &lt; \ud800 \x00 \u2028 @STYLE@"
LEVELS = {"a": {"level": 1}, "b": {"level": 2}}


class Page(html.parser.HTMLParser):
    """The elements of a page, the attributes that could load something, and what its scripts hold."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.places: list[str] = []
        self.scripts: list[str] = []
        self.is_in_script = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.is_in_script = tag == "script"
        self.places += [name for name, _ in attrs if name in ("src", "href", "srcset", "action", "data", "poster")]

    def handle_endtag(self, tag: str) -> None:
        self.is_in_script = False

    def handle_data(self, data: str) -> None:
        if self.is_in_script:
            self.scripts.append(data)

    @property
    def data(self) -> dict[str, Any]:
        """What the page shows; the data script comes first."""
        return dict(json.loads(self.scripts[0]))


def hostile_run() -> Run:
    """Return a run whose label, question, completion and reason are an attack each."""
    run = run_of({"a": "1", "b": "0"}, label=HOSTILE)
    attempts = tuple(replace(one, completion=Completion(text=HOSTILE, num_tokens=3)) for one in run.attempts)
    problems = tuple(replace(one, question=HOSTILE) for one in run.problems)
    return replace(run, attempts=attempts, problems=problems, prompts={"a": HOSTILE}, facts={"model": HOSTILE})


def page_of(*runs: Run) -> Page:
    return Page(html_page(report_record(runs), runs))


def errors_of(record: dict[str, Any]) -> list[str]:
    written = json.loads(json.dumps(storage.finite(record), allow_nan=False))
    return [error.message for error in Draft202012Validator(schema()).iter_errors(written)]


def test_the_schema_is_a_valid_schema() -> None:
    Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize(
    "runs",
    [
        [run_of({"a": "1", "b": "0"}, meta=LEVELS)],
        [run_of({"a": "10", "b": "1?"}), run_of({"a": "11", "b": "t-"})],
        [run_of({"a": "?"})],
    ],
)
def test_a_record_has_the_form_of_its_schema(runs: list[Run]) -> None:
    train = TrainData(origin="somewhere", problems=[Problem(id="t", question="question a", answer="1")])
    assert errors_of(report_record(runs, train)) == []


def test_the_schema_refuses_an_accuracy_in_points() -> None:
    record = report_record([run_of({"a": "1", "b": "0"})])
    record["runs"][0]["measures"]["accuracy"] = 50.0
    assert errors_of(record) != []


def test_two_runs_come_with_their_difference() -> None:
    record = report_record([run_of({"a": "1", "b": "0", "c": "0"}), run_of({"a": "0", "b": "1", "c": "1"})])
    assert (record["comparison"]["wins"], record["comparison"]["losses"]) == (2, 1)


def test_conditions_that_differ_are_named_in_the_page_and_in_markdown() -> None:
    runs = [run_of({"a": "1"}, conditions={"limit": 10}), run_of({"a": "1"}, conditions={"limit": 20})]
    assert "limit: 10 and 20" in page_of(*runs).data["page"]["notices"][0]
    assert "limit: 10 and 20" in markdown(report_record(runs))


def test_a_run_without_attempts_is_refused() -> None:
    with pytest.raises(UserError, match="no attempts"):
        report_record([run_of({})])


def test_every_attempt_is_in_the_page() -> None:
    runs = run_of({str(number): "10" for number in range(500)}), run_of({str(number): "11" for number in range(500)})
    attempts = page_of(*runs).data["page"]["attempts"]
    assert [[(row["problem_id"], row["sample"], row["outcome"]) for row in side] for side in attempts] == [
        [(one.problem_id, one.sample, str(run.verdict(one).outcome)) for one in run.attempts] for run in runs
    ]


def test_hostile_text_makes_no_element() -> None:
    assert page_of(hostile_run()).tags == page_of(run_of({"a": "1", "b": "0"})).tags


def test_hostile_text_comes_through_unchanged() -> None:
    data = page_of(hostile_run()).data
    assert "".join(text for _, text in data["page"]["attempts"][0][0]["segments"]) == HOSTILE
    assert data["page"]["problems"][0]["question"] == data["page"]["prompts"][0]["a"] == HOSTILE


def test_no_sign_that_could_end_the_data_stands_in_it() -> None:
    text = html_page(report_record([hostile_run()]), [hostile_run()])
    data = text.partition('id="data">')[2].partition("</script>")[0]
    assert re.search("[<>&\u2028\u2029]", data) is None
    assert data.isascii()


def test_nothing_in_the_page_is_loaded_from_anywhere() -> None:
    page = html_page(report_record([hostile_run()]), [hostile_run()])
    style = page.partition("<style>")[2].partition("</style>")[0]
    assert Page(page).places == []
    assert re.search(r"@import|url\(", style) is None
    assert "default-src 'none'" in page


def test_the_security_policy_names_the_hashes_of_what_the_page_holds() -> None:
    import base64
    import hashlib

    page = html_page(report_record([run_of({"a": "1"})]), [run_of({"a": "1"})])
    style = page.partition("<style>")[2].partition("</style>")[0]
    for text in (style, Page(page).scripts[-1]):
        assert base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() in page.partition("<style>")[0]


def test_the_script_puts_no_text_into_the_page_as_html() -> None:
    script = page_of(run_of({"a": "1"})).scripts[-1]
    assert re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", script) is None


def test_thought_and_answer_are_marked() -> None:
    verdict = Verdict(score=1.0, outcome=Outcome.PASS, extracted="7", place="boxed")
    assert segments(r"<think>hm</think>So \boxed{7}.", verdict, 1_000) == [
        ["think", "<think>hm</think>"],
        ["", "So "],
        ["answer", r"\boxed{7}"],
        ["", "."],
    ]


def test_an_open_thought_is_thought_to_the_end() -> None:
    verdict = Verdict(score=0.0, outcome=Outcome.NO_ANSWER, place="none")
    assert segments("<think>hm 7", verdict, 1_000) == [["think", "<think>hm 7"]]


def test_a_long_text_keeps_its_beginning_and_its_end_and_says_what_is_missing() -> None:
    # of 9 characters a third is the beginning
    assert cut("abc" + "x" * 100 + "uvwxyz", 9) == "abc\n[… 100 characters left out of this page …]\nuvwxyz"


def test_the_answer_at_the_end_of_a_long_text_stays_marked() -> None:
    verdict = Verdict(score=1.0, outcome=Outcome.PASS, extracted="7", place="boxed")
    parts = segments("x" * 1_000 + r"\boxed{7}", verdict, 60)
    assert [kind for kind, _ in parts] == ["", "cut", "", "answer"]
    assert parts[-1][1] == r"\boxed{7}"


def test_texts_are_cut_no_shorter_than_the_page_needs() -> None:
    run = run_of({"a": "1"})
    long = replace(run, attempts=(replace(run.attempts[0], completion=Completion(text="x" * 30_000)),))
    # 30,000 characters do not fit in 25,000, 20,000 do (with question and gold)
    assert text_limit([long], max_chars=25_000) == 20_000


def test_golds_share_the_room_of_a_page() -> None:
    run = run_of({"a": "1"})
    long = replace(run, problems=(replace(run.problems[0], answer="x" * 30_000),))
    assert text_limit([long], max_chars=25_000) == 20_000


def test_more_attempts_than_a_page_can_hold_are_refused() -> None:
    with pytest.raises(UserError, match="too many for one page"):
        text_limit([run_of({"a": "11"})], max_chars=10)


def test_a_page_says_that_it_cut_texts() -> None:
    run = run_of({"a": "1"})
    long = replace(run, attempts=(replace(run.attempts[0], completion=Completion(text="x" * 200_000)),))
    assert "1 completions are longer than 100,000 characters" in page_of(long).data["page"]["notices"][0]


def test_a_gold_as_long_as_a_book_is_cut_in_the_page_too() -> None:
    run = run_of({"a": "1"})
    long = replace(run, problems=(replace(run.problems[0], answer="x" * 200_000),))
    assert len(page_of(long).data["page"]["problems"][0]["gold"]) < 101_000


def test_no_name_in_markdown_commands_a_terminal() -> None:
    text = markdown(report_record([run_of({"a": "1"}, label="a\x1b[31m\x00\u202eb\nc")]))
    assert r"# a\x1b\[31m\x00\u202eb c" in text


def test_markdown_has_a_row_per_level_with_its_interval() -> None:
    # 1 of 1 right: Wilson's 95 % interval is [20.7, 100.0]
    text = markdown(report_record([run_of({"a": "1", "b": "0"}, meta=LEVELS)]))
    assert "| 1 | 1 | 100.0 % [20.7, 100.0] |" in text


def test_a_label_cannot_become_markup_in_markdown() -> None:
    text = markdown(report_record([hostile_run()]))
    assert "<script>" not in text.replace("\\<", "")


def scored_file(folder: Path, name: str, verdicts: str) -> Path:
    path = folder / name
    rows = [
        {
            "problem_id": str(number),
            "question": f"question {number}",
            "gold": "7",
            "response": "7",
            "verdict": {"score": float(mark), "outcome": "pass" if mark == "1" else "fail", "extracted": "7"},
        }
        for number, mark in enumerate(verdicts)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_command_writes_all_three(tmp_path: Path) -> None:
    first, second = scored_file(tmp_path, "m-1.5b.jsonl", "110"), scored_file(tmp_path, "m-1.5b-rl.jsonl", "111")
    outputs = [f"--{kind}={tmp_path / f'out.{kind}'}" for kind in ("html", "markdown", "json")]
    assert main(["report", str(first), str(second), *outputs]) == 0
    record = json.loads((tmp_path / "out.json").read_text())
    assert errors_of(record) == []
    assert [run["label"] for run in record["runs"]] == ["m-1.5b", "m-1.5b-rl"]


def test_a_small_output_is_told_in_kilobytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, out = scored_file(tmp_path, "run.jsonl", "10"), tmp_path / "out.md"
    assert main(["report", str(run), "--markdown", str(out)]) == 0
    assert capsys.readouterr().out == f"wrote {out} ({out.stat().st_size / 1000:.1f} kB)\n"


def test_training_data_is_looked_for_in_the_run(tmp_path: Path) -> None:
    run, out = scored_file(tmp_path, "run.jsonl", "10"), tmp_path / "out.json"
    train = tmp_path / "train.jsonl"
    train.write_text('{"question": "Question 1?", "answer": "7"}\n')
    assert main(["report", str(run), "--train-data", str(train), "--json", str(out)]) == 0
    assert json.loads(out.read_text())["runs"][0]["overlap"]["problem_ids"] == ["1"]


def test_a_lone_surrogate_can_be_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = scored_file(tmp_path, "run.jsonl", "10")
    rows = [
        json.loads(line) | {"subject": f"s{number}\ud800"} for number, line in enumerate(run.read_text().splitlines())
    ]
    run.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["report", str(run)]) == 0
    assert "s0\\ud800" in capsys.readouterr().out


def test_an_output_that_is_the_input_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = scored_file(tmp_path, "run.jsonl", "1")
    assert main(["report", str(run), "--json", str(run)]) == 2
    assert "is the input too" in capsys.readouterr().err
