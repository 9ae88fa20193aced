r"""Which of several answers say the same? Voting needs classes of answers where grading needs only the gold's.

Two answers are one class when the verifier takes either for the other; classes are joined over such pairs, because
equality with tolerance for form (`50\%` is `50` and `0.5`) is no equivalence by itself. Only the stages of this process
are asked: an answer that only the symbolic stage could place keeps a class of its own.
"""

from collections.abc import Sequence

from reasoning_grpo.rewards.answers.grading import DEFAULT, Finding, decide

MAX_CLASSES = 256  # comparisons are quadratic in classes; who differs more than this has no majority


def answer_classes(answers: Sequence[str]) -> list[int]:
    """Return the class of each answer, numbered from 0 in the order of first appearance.

    Past `MAX_CLASSES` classes, answers are only compared by their text.
    """
    members: list[list[str]] = []
    known: dict[str, int] = {}
    for answer in dict.fromkeys(answers):
        known[answer] = _place(answer, members, known)
    order = {class_: number for number, class_ in enumerate(dict.fromkeys(known[answer] for answer in answers))}
    return [order[known[answer]] for answer in answers]


def _place(answer: str, members: list[list[str]], known: dict[str, int]) -> int:
    """Return the number of the answer's class, joining all classes that it is equal to."""
    candidates = members if len(members) <= MAX_CLASSES else []
    equal = [number for number, class_ in enumerate(candidates) if any(_same(answer, other) for other in class_)]
    if not equal:
        members.append([answer])
        return len(members) - 1
    first, *others = equal
    members[first].append(answer)
    for number in others:
        members[first] += members[number]
        known.update(dict.fromkeys(members[number], first))
        members[number] = []
    return first


def _same(one: str, other: str) -> bool:
    return any(decide(a, b, DEFAULT).finding is Finding.EQUAL for a, b in ((one, other), (other, one)))
