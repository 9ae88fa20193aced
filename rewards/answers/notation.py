r"""Names that mathematics has: which commands and words are functions, constants, Greek letters or accents."""

from reasoning_grpo.rewards.answers.values import FUNCTIONS, Node, Op

_GREEK_NAMES = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi rho sigma tau phi chi psi omega "
    "Gamma Delta Theta Lambda Xi Sigma Phi Psi Omega ell hbar wp aleph star bullet square triangle"
)
GREEK = frozenset(_GREEK_NAMES.split())
TIMES = frozenset(["cdot", "times", "*"])
ACCENTS = frozenset(["vec", "hat", "bar", "tilde", "dot", "overrightarrow", "widehat", "overline", "bf", "mathbf"])
BARE_ACCENTS = frozenset(["bf", "mathbf", "vec", "overrightarrow"])  # over one letter they say nothing about its value
FUNCTION_NAMES = {name: name for name in FUNCTIONS} | {
    "asin": "arcsin", "acos": "arccos", "atan": "arctan", "cosec": "csc", "tg": "tan", "ctg": "cot", "arctg": "arctan",
}  # fmt: skip
LOGARITHMS = frozenset(["log", "ln", "lg"])
CONSTANTS = {"pi": Node(Op.PI), "infty": Node(Op.INFINITY), "infinity": Node(Op.INFINITY), "inf": Node(Op.INFINITY)}
APPLIED = frozenset("fghFGHPQqp")  # letters that are functions when a bracket follows: f(2), P(A)
ROUNDINGS = {"abs": Op.ABS, "floor": Op.FLOOR, "ceil": Op.CEIL}
FENCES = {"lfloor": ("rfloor", Op.FLOOR), "lceil": ("rceil", Op.CEIL)}
_OTHER_WORDS = ("sqrt", "cbrt", "pi", "infinity", "cis")
WORDS = sorted([*FUNCTION_NAMES, *LOGARITHMS, *ROUNDINGS, *_OTHER_WORDS], key=lambda word: (-len(word), word))
