r"""Rewrites of golds: what means the same and what does not, by hand; and that the rules hold on real golds' shapes."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reasoning_grpo.rewards.auditing.mutants import elements, number, preserving, terminating
from reasoning_grpo.rewards.auditing.near_misses import changing, neighbour


def answers(found: list[object], kind: str) -> list[str]:
    return [mutant.answer for mutant in found if mutant.kind == kind]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("gold", "kind", "answer"),
    [
        ("1250", "thousands comma", "1,250"),
        ("-1250", "thousands brace", "-1{,}250"),
        (r"10,\!080", "no thousands comma", "10080"),
        (r"\frac{3}{4}", "decimal", "0.75"),
        (r"\frac{3}{4}", "slash", "3/4"),
        (r"-\frac{3}{4}", "unreduced", r"-\frac{9}{12}"),
        (".5", "fraction", r"\frac{1}{2}"),
        (r"2\frac{1}{3}", "improper fraction", r"\frac{7}{3}"),
        (r"5\text{ cm}", "unit dropped", "5"),
        (r"90^\circ", "degree dropped", "90"),
        (r"\$42", "currency dropped", "42"),
        ("1,-2", "list order", "-2, 1"),
        (r"\{1,2\}", "list order", r"\{2, 1\}"),
        ("(1,2)", "left right", r"\left(1,2\right)"),
        (r"\text{Monday}", "bare word", "Monday"),
        ("-7", "unicode minus", "\u22127"),
        ("$7$", "trailing zero", "7.0"),  # OlympiadBench wraps its golds
    ],
)
def test_a_rewrite_that_means_the_same(gold: str, kind: str, answer: str) -> None:
    assert answer in answers(list(preserving(gold)), kind)


@pytest.mark.parametrize(
    ("gold", "kind"),
    [
        (r"\frac{1}{3}", "decimal"),  # never ends
        ("1,234", "list order"),  # a number
        ("100,200", "list order"),  # or is it?
        ("(1,2)", "list order"),  # a tuple or an interval
        ("2,100", "list order"),
        ("x=1,y=2", "list order"),
        ("30!", "trailing period"),
        (r"\$5", "in dollars"),
        ("007", "trailing zero"),
    ],
)
def test_a_rewrite_whose_meaning_is_not_certain_is_not_made(gold: str, kind: str) -> None:
    assert answers(list(preserving(gold)), kind) == []


@pytest.mark.parametrize(
    ("gold", "kind", "answer"),
    [
        ("72", "plus one", "73"),
        ("72", "minus one", "71"),
        ("72", "digits swapped", "27"),
        ("72", "ten times", "720"),
        ("72", "chained equality", "x=70=71=72"),
        ("-7", "sign", "7"),
        (r"\frac{2}{3}", "upside down", r"\frac{3}{2}"),
        (r"\frac{2}{3}", "rounded", "0.67"),
        (r"3\sqrt{13}", "number inside", r"4\sqrt{13}"),
        (r"\frac{1}{2006!}", "number inside", r"\frac{1}{2007!}"),
        ("(1,2)", "elements swapped", "(2,1)"),
        ("(1,2,3)", "element dropped", "(1,2)"),
        ("1,2", "element added", "1, 2, 1789"),
        (r"3\sqrt{13}", "leading number", "3"),
        ("6-5i", "leading number", "6"),
        ("72", "off by 0.001", "72.001"),
        ("-7", "off by 0.001", "-6.999"),
        ("72", "off by 1e-4 of it", "72.0072"),
        ("72", "off by 1e-6 of it", "72.000072"),
        (r"\frac{1}{3}", "off by 0.001", r"\frac{1003}{3000}"),  # 1000/3000 + 3/3000
        (r"\frac{1}{2}", "off by 1e-4 of it", "0.50005"),
        (r"50\%", "off by 0.001", r"50.001\%"),
        (r"15\text{ cm}^2", "off by 0.001", r"15.001\text{ cm}^2"),
        (r"90^\circ", "off by 0.001", r"90.001^\circ"),
        ("0.25", "last digit", "0.26"),
        ("-0.99", "last digit", "-1.00"),
        ("72", "hundred times", "7200"),
        ("72", "hundredth", "0.72"),
        (r"50\%", "hundred times", r"5000\%"),
        (r"\frac{1}{3}", "hundredth", r"\frac{1}{300}"),
        ("5", "scale word thousand", "5 thousand"),
        ("5", "scale word million", r"5\text{ million}"),
        ("5", "scale word hundred", "5 hundred"),
        ("5", "scale word dozen", "5 dozen"),
        ("5", "scale word halves", "5 halves"),
        (r"\$5", "scale word million", r"\$5 million"),
        (r"5\text{ cm}", "other unit", r"5\text{ kg}"),
        (r"5\text{ m}", "other unit", r"5\text{ kN}"),
        (r"5\text{ kg}", "other unit", r"5\text{ hours}"),
        (r"90^\circ", "other unit", r"90\text{ kg}"),
        (r"\$5", "other unit", r"5\text{ euros}"),
        (r"5\text{ m}", "unit as a rate", r"5\text{ m/s}"),
        (r"5\text{ seconds}", "unit as a rate", r"5\text{ seconds per minute}"),
        (r"5\text{ m}", "unit in a product", r"5\text{ kN m}"),
        (r"5\text{ m}", "other size", r"5\text{ km}"),
        (r"5\text{ inches}", "other size", r"5\text{ feet}"),
        (r"\$5", "other size", r"5\text{ cents}"),
        (r"5\text{ m}", "other power", r"5\text{ m}^2"),
        (r"5\text{ square feet}", "other power", r"5\text{ cubic feet}"),
        (r"5\text{ cm}^2", "power dropped", r"5\text{ cm}"),
        (r"\text{(C)}", "other choice", "A"),
        ("72", "alternatives", r"72\text{ or }73"),
        ("72", "denied", r"\text{not }72"),
    ],
)
def test_a_rewrite_that_means_something_else(gold: str, kind: str, answer: str) -> None:
    assert answer in answers(list(changing(gold)), kind)


@pytest.mark.parametrize(
    ("gold", "kind"),
    [
        ("0", "sign"),
        ("11", "digits swapped"),
        ("10", "digits swapped"),  # 01
        (r"\frac{3}{3}", "upside down"),
        (r"\frac{199}{3}", "rounded"),  # 66.33 is within a thousandth
        (r"(\frac{1}{2},0.5)", "elements swapped"),
        ("(1,1)", "elements swapped"),
        ("x>2", "alternatives"),  # `x>2 or x>3` is `x>2`
        (r"k \geqslant 2", "alternatives"),
        ("0.25", "off by 0.001"),  # 0.251 may be what 0.25 was rounded from
        ("0", "off by 1e-4 of it"),
        ("0", "hundred times"),
        ("0", "scale word thousand"),
        ("x=5", "leading number"),
        (r"5\sqrt{1}", "leading number"),
        ("5x", "leading number"),  # five times?
        (r"\$5", "unit as a rate"),  # five dollars an hour, where the question asks for that
    ],
)
def test_a_rewrite_that_might_mean_the_same_is_not_made(gold: str, kind: str) -> None:
    assert answers(list(changing(gold)), kind) == []


@given(st.integers(-(10**6), 10**6), st.integers(1, 10**4))
def test_no_number_is_rewritten_to_one_of_its_own_value_or_kept_from_it(top: int, bottom: int) -> None:
    for gold in (str(top), f"{'-' if top < 0 else ''}\\frac{{{abs(top)}}}{{{bottom}}}"):
        value = number(gold)
        assert all(number(mutant.answer) in (None, value) for mutant in preserving(gold))
        assert all(number(mutant.answer) != value for mutant in changing(gold))
        assert number(neighbour(gold)) != value


@pytest.mark.parametrize(("value", "text"), [(Fraction(3, 4), "0.75"), (Fraction(2), "2"), (Fraction(1, 3), None)])
def test_a_decimal_that_ends_is_found(value: Fraction, text: str | None) -> None:
    assert terminating(value) == text


@pytest.mark.parametrize(
    ("text", "parts"),
    [("(1,(2,3))", ["1", "(2,3)"]), ("1,234", None), (r"\{a,b\}", ["a", "b"]), ("(1,2),(3,4)", ["(1,2)", "(3,4)"]),
     ("5", None), (r"\begin{pmatrix}1,2\end{pmatrix}", None), ("1,,2", None)],
)  # fmt: skip
def test_lists_are_taken_apart_at_their_own_commas(text: str, parts: list[str] | None) -> None:
    found = elements(text)
    assert (found[1] if found else None) == parts
