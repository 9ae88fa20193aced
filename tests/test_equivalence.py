"""Classes of answers for a vote."""

from reasoning_grpo.rewards.equivalence import MAX_CLASSES, answer_classes


def test_spellings_of_one_value_are_one_class() -> None:
    assert answer_classes([r"\frac{1}{2}", "0.5", "2", "1/2", "2.0"]) == [0, 0, 1, 0, 1]


def test_what_links_two_classes_joins_them() -> None:
    # 50 is not 0.5, but 50\% is either.
    assert answer_classes(["50", "0.5"]) == [0, 1]
    assert answer_classes(["50", "0.5", r"50\%"]) == [0, 0, 0]


def test_unreadable_answers_are_alike_only_by_their_text() -> None:
    assert answer_classes(["@@##", "@@##", "##@@"]) == [0, 0, 1]


def test_too_many_different_answers_are_not_compared_any_more() -> None:
    many = [str(number) for number in range(MAX_CLASSES + 2)]
    assert answer_classes([*many, "1.0"])[-1] == MAX_CLASSES + 2


def test_no_answers_have_no_classes() -> None:
    assert answer_classes([]) == []
