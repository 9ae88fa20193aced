"""Units, counted nouns and numbers in words: what each text is, and which two are one."""

from fractions import Fraction

import pytest

from reasoning_grpo.rewards.answers.nouns import is_counted
from reasoning_grpo.rewards.answers.numerals import read_numeral
from reasoning_grpo.rewards.answers.unit_table import known_measure
from reasoning_grpo.rewards.answers.units import Unit, exchange, parse_unit, same_unit


def unit(text: str) -> Unit:
    found = parse_unit(text)
    assert found is not None, text
    return found


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("m/s", "meters per second"),
        ("m s^{-1}", "metres per second"),
        (r"\frac{m}{s}", "m/s"),
        ("kph", "km/h"),
        ("sq. ft.", "ft^2"),
        ("cc", "cm^3"),
        ("mL", "cubic centimeters"),  # both are 10^-6 m^3
        ("J", "N m"),  # kg m^2 s^-2
        ("ft-lb", "foot-pounds"),
        (r"\mu m", "micrometers"),
        ("mpg", "miles per gallon"),
        ("bpm", "beats per minute"),
        ("apples", "red apples"),
        ("cups", "cups of flour"),
        ("children", "child"),
        ("eggs a day", "eggs/day"),
        ("£", "pounds"),
    ],
)
def test_one_unit_has_many_spellings(left: str, right: str) -> None:
    assert same_unit(unit(left), unit(right))
    assert same_unit(unit(right), unit(left))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("km", "m"),
        ("m", "m/s"),
        ("years", "light years"),
        ("mN", "MN"),
        ("ft", "ft^2"),
        ("miles", "miles per hour"),
        ("N m", "N/m"),
        ("apples", "apple pies"),
        ("apples", "apples per day"),
        ("Hz", "rpm"),
        ("°C", "°F"),
        ("°C", "K"),
        ("$", "€"),
        ("cups of flour", "cups of sugar"),
    ],
)
def test_different_units_are_different(left: str, right: str) -> None:
    assert not same_unit(unit(left), unit(right))
    assert not same_unit(unit(right), unit(left))


@pytest.mark.parametrize("text", ["", "or more", "is wrong", "million", "^", "cm^", "/", "per", "a x", "squared", "12"])
def test_claims_and_scraps_are_no_units(text: str) -> None:
    assert parse_unit(text) is None


def test_a_hundred_cents_are_a_dollar_and_nothing_else_is_converted() -> None:
    assert exchange(unit("dollars"), unit("cents")) == Fraction(1, 100)
    assert exchange(unit("km"), unit("m")) is None
    assert exchange(unit("euros"), unit("dollars")) is None


@pytest.mark.parametrize("word", ["apples", "people", "sheep", "ways", "goldfish"])
def test_plurals_are_counted(word: str) -> None:
    assert is_counted(word)


@pytest.mark.parametrize(
    "word", ["incorrect", "below", "halves", "tenths", "pairs", "dozen", "lakh", "perhaps", "is", "factorial", "apple"]
)
def test_what_is_no_plural_noun_is_not_counted(word: str) -> None:
    assert not is_counted(word)


def test_one_of_a_thing_is_counted_in_the_singular() -> None:
    assert is_counted("apple", may_be_singular=True)
    assert not is_counted("incorrect", may_be_singular=True)


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("seven", Fraction(7)),
        ("twenty-one", Fraction(21)),
        ("three hundred and fifty", Fraction(350)),
        ("two million one hundred thousand", Fraction(2_100_000)),
        ("negative five", Fraction(-5)),
        ("one half", Fraction(1, 2)),
        ("three quarters", Fraction(3, 4)),
        ("zero", Fraction(0)),
        ("two one", None),
        ("twenty eleven", None),
        ("three fifty", None),
        ("one thirds", None),
        ("third", None),
        ("million", None),
        ("and two", None),
        ("", None),
    ],
)
def test_numbers_in_words(words: str, value: Fraction | None) -> None:
    assert read_numeral(words) == value


def test_a_name_has_any_case_and_a_symbol_its_own() -> None:
    assert known_measure("Meters") == known_measure("m")
    assert known_measure("mN") != known_measure("MN")
    assert known_measure("dt") is None
