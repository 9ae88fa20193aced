"""The typed reading and comparison of answers, module by module, and the held-out golden table."""

import gzip
import json
import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reasoning_grpo.rewards import verify
from reasoning_grpo.rewards.answers.evaluate import (
    MAX_BITS,
    PRIMES,
    NotRationalError,
    OverBudgetError,
    UndefinedError,
    exact_value,
    modular_value,
)
from reasoning_grpo.rewards.answers.expressions import real_value, same_expression
from reasoning_grpo.rewards.answers.grading import Finding, decide
from reasoning_grpo.rewards.answers.intervals import as_real_set
from reasoning_grpo.rewards.answers.latex import MAX_DEPTH, Commas, UnreadableError, clean, tokenize
from reasoning_grpo.rewards.answers.parser import parse_expression
from reasoning_grpo.rewards.answers.reader import read
from reasoning_grpo.rewards.answers.units import parse_unit
from reasoning_grpo.rewards.answers.values import (
    Based,
    Bracketed,
    Clock,
    Listing,
    Matrix,
    Node,
    NumberSet,
    Quantity,
    Ratio,
    Relation,
    Text,
    number,
    symbol,
)

HELD_OUT = [
    json.loads(line)
    for line in (Path(__file__).parent / "golden" / "held_out.jsonl").read_text(encoding="utf-8").splitlines()
]


@pytest.mark.parametrize("row", HELD_OUT, ids=[f"{row['gold']} | {row['text'][-50:]}" for row in HELD_OUT])
def test_held_out_pairs_written_from_the_label_policy(row: dict[str, Any]) -> None:
    assert verify(row["gold"], row["text"]).passed is row["passes"]


ADVERSARIAL = [
    json.loads(line)
    for line in (Path(__file__).parent / "golden" / "adversarial.jsonl").read_text(encoding="utf-8").splitlines()
]


@pytest.mark.parametrize("kind", sorted({row["class"] for row in ADVERSARIAL}))
def test_adversarial_pairs_are_graded_as_the_label_policy_says(kind: str) -> None:
    rows = [row for row in ADVERSARIAL if row["class"] == kind]
    assert [row for row in rows if verify(row["gold"], row["text"]).passed is not row["passes"]] == []


def test_the_labelled_corpus_is_graded_as_labelled() -> None:
    folder = os.environ.get("REASONING_GRPO_VERIFIER_CORPUS")
    if not folder:
        pytest.skip("set REASONING_GRPO_VERIFIER_CORPUS to the folder that holds corpus.jsonl.gz")
    with gzip.open(Path(folder) / "corpus.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    wrong = [row["id"] for row in rows if verify(row["gold"], row["pred"]).passed is not (row["label"] == "accept")]
    assert wrong == []


def parse(text: str) -> Node:
    tokens = tokenize(clean(text))
    return parse_expression(tokens, 0, len(tokens.tokens))


# tokens


def test_notation_without_meaning_leaves_no_token() -> None:
    plain = [token.text for token in tokenize("(x+1)").tokens]
    assert [token.text for token in tokenize(r"\left( x\,+\;1 \right)").tokens] == plain


@pytest.mark.parametrize(
    ("text", "commas", "numbers"),
    [
        ("1,234", Commas.GROUP_OUTSIDE, ["1234"]),
        ("1,234", Commas.SPLIT, ["1", "234"]),
        ("(1,234)", Commas.GROUP_OUTSIDE, ["1", "234"]),
        ("(1,234)", Commas.GROUP, ["1234"]),
        (r"1,\!234{,}567", Commas.SPLIT, ["1234567"]),
        ("1,2345", Commas.GROUP, ["1", "2345"]),  # four digits are no group
        ("6.02e23", Commas.GROUP, ["6.02e23"]),
        ("4e+7", Commas.GROUP, ["4", "7"]),  # 4 e + 7
    ],
)
def test_digit_groups_are_one_number_unless_told_otherwise(text: str, commas: Commas, numbers: list[str]) -> None:
    assert [token.text for token in tokenize(text, commas).tokens if token.text[0].isdigit()] == numbers


@pytest.mark.parametrize(
    "text", ["(1", "1)", "{1", r"\{1)", "[1}", "(" * (MAX_DEPTH + 1) + ")" * (MAX_DEPTH + 1), "1+" * 2000]
)
def test_unbalanced_deep_or_long_texts_are_unreadable(text: str) -> None:
    with pytest.raises(UnreadableError):
        tokenize(text)


# expressions, with values worked out by hand


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r"\frac12", Fraction(1, 2)),
        (r"\frac1{72}", Fraction(1, 72)),
        (r"3\frac{1}{2}", Fraction(7, 2)),  # 3 + 1/2
        ("-2 1/4", Fraction(-9, 4)),  # -(2 + 1/4)
        ("3 * 1/2", Fraction(3, 2)),
        ("2^3^2", 512),  # 2^9: powers bind to the right
        ("-2^2", -4),
        ("(-2)^2", 4),
        ("10^-2", Fraction(1, 100)),
        ("2**10", 1024),
        ("6/2(1+2)", 9),  # left to right
        (r"0.1\overline{6}", Fraction(1, 6)),  # 1/10 + 6/90 = 15/90
        ("5!!", 15),  # 5 * 3 * 1
        ("3!^2", 36),
        (r"{5 \choose 2}", 10),
        (r"\sqrt[3]{27}", 3),
        (r"\sqrt{\frac{9}{16}}", Fraction(3, 4)),
        ("|3-5|", 2),
        (r"\lfloor -7/2 \rfloor", -4),
        (r"8^{2/3}", 4),
        ("1.5e-3", Fraction(3, 2000)),
    ],
)
def test_arithmetic_is_exact(text: str, value: Fraction) -> None:
    assert exact_value(parse(text)) == value


@pytest.mark.parametrize("text", ["1/0", "0^0", "0^{-1}", r"\frac{1}{2-2}", r"\infty-\infty"])
def test_what_has_no_value_is_undefined(text: str) -> None:
    with pytest.raises(UndefinedError):
        exact_value(parse(text))


@pytest.mark.parametrize(
    "text", [f"2^{{{MAX_BITS}}}", "100000!", r"\binom{10^9}{10^8}", "9^{9^9}", "((9^{99})^{99})^{99}"]
)
def test_what_would_exceed_the_budget_is_refused(text: str) -> None:
    with pytest.raises(OverBudgetError):
        exact_value(parse(text))


@pytest.mark.parametrize("text", [r"\sqrt{2}", "x", r"\pi", "(-8)^{1/3}", r"\sin 1"])
def test_what_is_not_rational_is_left_to_other_methods(text: str) -> None:
    with pytest.raises(NotRationalError):
        exact_value(parse(text))


RATIONALS = st.fractions(max_denominator=50).filter(lambda f: abs(f) < 100)


@given(RATIONALS, RATIONALS, RATIONALS)
def test_the_parser_agrees_with_python(a: Fraction, b: Fraction, c: Fraction) -> None:
    text = rf"({a})\cdot({b}) - \frac{{{c.numerator}}}{{{c.denominator}}}"
    assert exact_value(parse(text)) == a * b - c


@given(st.integers(-(10**6), 10**6), st.integers(1, 10**6))
def test_modular_values_are_those_of_the_field(top: int, bottom: int) -> None:
    for prime in PRIMES:
        assert modular_value(parse("a/b"), {"a": top % prime, "b": bottom}, prime) * bottom % prime == top % prime


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        ("(a+b)^2", "a^2+2ab+b^2", True),
        ("(a+b)^2", "a^2+b^2", False),
        (r"\sqrt{5+2\sqrt{6}}", r"\sqrt2+\sqrt3", True),  # (√2+√3)² = 5 + 2√6
        (r"\cos\frac{\pi}{5}", r"\frac{1+\sqrt5}{4}", True),
        ("e^{i\\pi}", "-1", True),
        (r"\log_2 3\cdot\log_3 2", "1", True),
        ("2^{n+1}-2^n", "2^n", True),
        ("n!", "n(n-1)!", True),
        (r"\ln x^2", r"2\ln x", True),
        (r"\sqrt{x^2}", "x", False),  # at x = -1: 1 and -1
        (r"\sqrt[3]{-8}", "-2", True),
        ("10^{10^{10}}", "10^{10^{10}}+1", False),
        (r"\frac{355}{113}", r"\pi", False),
        ("f(2)", "f(3)", False),
        ("x_1+x_2", "x_2+x_1", True),
    ],
)
def test_expressions_are_equal_or_not(left: str, right: str, equal: bool) -> None:
    assert same_expression(parse(left), parse(right)) is equal
    assert same_expression(parse(right), parse(left)) is equal


def test_a_real_value_has_two_hundred_bits() -> None:
    root = real_value(parse(r"\sqrt{2}"))
    assert abs(root * root - 2) < Fraction(1, 2**180)


# readings


@pytest.mark.parametrize(
    ("text", "reading"),
    [
        ("42", Quantity(number(42))),
        (r"5\text{ cm}^2", Quantity(number(5), parse_unit("cm ^2"))),
        (r"\$1,200", Quantity(number(1200), parse_unit("$"))),
        (r"90^{\circ}", Quantity(number(90), parse_unit("°"))),
        (r"50\%", Quantity(number(50), None, True)),
        ("2 million", Quantity(Node(parse("2*3").op, (number(2), number(1_000_000))))),
        (r"\text{(B)}", Quantity(symbol("B"))),
        (r"\text{an Ellipse}", Text("ellipse")),
        ("4:30 p.m.", Clock((4, 30), "p")),
        ("1:2:3", Clock((1, 2, 3), "")),
        ("x:y", Ratio((symbol("x"), symbol("y")))),
        ("-0101_{2}", Based("-101", 2)),
        ("[2,5)", Bracketed("[", ")", (Quantity(number(2)), Quantity(number(5))))),
        (r"\{1,2\}", Listing((Quantity(number(1)), Quantity(number(2))))),
        (r"\pm 4", Listing((Quantity(number(4)), Quantity(Node(parse("-x").op, (number(4),)))), "+-")),
        (r"\emptyset", Listing(())),
        (r"\mathbb{R}", NumberSet("R")),
        ("x=5", Relation(("=",), (Quantity(symbol("x")), Quantity(number(5))))),
        (r"\begin{bmatrix}1&2\end{bmatrix}", Matrix(((Quantity(number(1)), Quantity(number(2))),))),
    ],
)
def test_each_kind_of_answer_is_read_as_its_type(text: str, reading: object) -> None:
    assert read(text)[0] == reading


def test_an_ambiguous_text_has_both_readings() -> None:
    assert read("5 m") == (Quantity(parse("5m")), Quantity(number(5), parse_unit("m")))
    assert read("1,234") == (Quantity(number(1234)), Listing((Quantity(number(1)), Quantity(number(234)))))


@pytest.mark.parametrize("text", ["", "?", r"\foo", "1+", "((", "12 or more", r"42\text{ is wrong}", "x ~ y ^", "\x00"])
def test_what_is_no_answer_has_no_reading_of_a_number(text: str) -> None:
    assert not any(isinstance(value, Quantity) for value in read(text))


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("x>2", r"(2,\infty)"),
        ("2x+1<5", r"(-\infty,2)"),  # 2x < 4
        (r"1\le x<3", "[1,3)"),
        (r"x<1\text{ or }x>3", r"(-\infty,1)\cup(3,\infty)"),
        (r"x>1\text{ and }x<3", "(1,3)"),
        (r"(1,3)\cup[2,5]", "(1,5]"),
        (r"(1,2)\cup\{2\}\cup(2,3)", "(1,3)"),
        (r"\mathbb{R}\setminus[0,1)", r"(-\infty,0)\cup[1,\infty)"),
        (r"(0,3)\cap[1,5]", "[1,3)"),
        (r"x\ne\sqrt2", r"(-\infty,\sqrt2)\cup(\sqrt2,\infty)"),
    ],
)
def test_sets_of_numbers_have_one_form(text: str, same: str) -> None:
    left, right = as_real_set(read(text)[0]), as_real_set(read(same)[0])
    assert left is not None and right is not None
    assert [(real_ends(s.low), real_ends(s.high), s.has_low, s.has_high) for s in left.spans] == [
        (real_ends(s.low), real_ends(s.high), s.has_low, s.has_high) for s in right.spans
    ]


def real_ends(node: Node) -> object:
    try:
        return real_value(node)
    except UndefinedError:
        return node  # infinite


@pytest.mark.parametrize(
    ("gold", "answer", "finding", "stage"),
    [
        ("42", r"\frac{84}{2}", Finding.EQUAL, "number"),
        ("42", "(42, 43)", Finding.DIFFERENT, "kind"),
        ("42", r"\foo", Finding.DIFFERENT, "unread"),
        ("42", "9^{9^{9^9}}", Finding.OVER_BUDGET, "budget"),
        ("42", "1" * 3000, Finding.DIFFERENT, "size"),
        (r"x\equiv1", r"x\equiv2", Finding.OPEN, "symbolic"),
        (r"x\equiv1", r"\sum_k x", Finding.DIFFERENT, "unread"),  # an operator that the gold does not have
    ],
)
def test_every_decision_names_its_stage(gold: str, answer: str, finding: Finding, stage: str) -> None:
    decision = decide(gold, answer)
    assert (decision.finding, decision.stage) == (finding, stage)


PARTS = st.sampled_from(
    ["1", "2", "x", r"\pi", r"\sqrt{2}", "(1,2)", r"\text{a}", "+", "-", "=", "<", "^", "{", "}", r"\frac"]
)


@settings(max_examples=400, deadline=None)
@given(st.lists(PARTS, max_size=8).map("".join), st.lists(PARTS, max_size=8).map("".join))
def test_deciding_raises_nothing_and_equality_is_mutual(gold: str, answer: str) -> None:
    there, back = decide(gold, answer), decide(answer, gold)
    if read(gold) and read(answer):
        assert (there.finding is Finding.EQUAL) == (back.finding is Finding.EQUAL), (gold, answer)
