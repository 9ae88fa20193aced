r"""LaTeX, Unicode or plain text of one answer -> tokens with matched brackets, in linear time.

Notation without meaning disappears here: sizing and spacing commands, `$…$`, zero-width signs, `\dfrac` against
`\frac`, `\mathrm{E}` against `E`. Digit groups become one number (`1,234`, `1{,}234`, `1\,234`, `1 234`); since a comma
may also separate a list, the caller says how bare commas are read (`Commas`). `\text{…}` with words stays one token.
Nothing is evaluated and nothing nests deeper than `MAX_DEPTH`. Left out: what the tokens mean (parser.py, reader.py).
"""

import re
from enum import Enum, auto
from typing import NamedTuple

MAX_TOKENS = 2_000
MAX_DEPTH = 40


class UnreadableError(Exception):
    """The text is not of the notation this package reads; another stage may still compare it."""


class Kind(Enum):
    """What a token is."""

    NUMBER = auto()  # digits, at most one point, perhaps a power of ten: `1.5`, `6e23`
    WORD = auto()  # a run of letters
    COMMAND = auto()  # `\pi`
    TEXT = auto()  # the content of `\text{…}` with words in it
    BEGIN = auto()  # `\begin{pmatrix}`: text is the environment
    END = auto()
    OPEN = auto()
    CLOSE = auto()
    SIGN = auto()  # anything else, one character or an ASCII digraph such as `<=`


class Commas(Enum):
    """How `1,234` is read."""

    GROUP_OUTSIDE = auto()  # one number, but two coordinates inside brackets
    GROUP = auto()  # one number everywhere
    SPLIT = auto()  # always two numbers


class Token(NamedTuple):
    """A token; `start` and `end` point into the cleaned text, `spaced` tells of a blank before it."""

    kind: Kind
    text: str
    start: int
    end: int
    spaced: bool


class Tokens(NamedTuple):
    """The tokens of `text`; `partner[i]` is the index of the bracket that token i opens or closes, else -1."""

    text: str
    tokens: list[Token]
    partner: list[int]


_SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n", strict=True))
_SUBSCRIPTS = dict(zip("₀₁₂₃₄₅₆₇₈₉", "0123456789", strict=True))
_FRACTIONS = {
    "½": "12", "⅓": "13", "⅔": "23", "¼": "14", "¾": "34", "⅕": "15", "⅖": "25", "⅗": "35", "⅘": "45",
    "⅙": "16", "⅚": "56", "⅐": "17", "⅛": "18", "⅜": "38", "⅝": "58", "⅞": "78", "⅑": "19",
}  # fmt: skip
_GREEK = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon", "ζ": "zeta", "η": "eta", "θ": "theta",
    "κ": "kappa", "λ": "lambda", "μ": "mu", "ν": "nu", "ξ": "xi", "ρ": "rho", "σ": "sigma", "τ": "tau",
    "φ": "phi", "χ": "chi", "ψ": "psi", "ω": "omega", "Γ": "Gamma", "Δ": "Delta", "Θ": "Theta", "Λ": "Lambda",
    "Σ": "Sigma", "Φ": "Phi", "Ω": "Omega",
}  # fmt: skip
_SIGNS = {
    "−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-", "‒": "-", "﹣": "-", "×": r"\times ", "·": r"\cdot ",
    "⋅": r"\cdot ", "∙": r"\cdot ", "•": r"\cdot ", "∗": "*", "÷": "/", "∕": "/", "⁄": "/", "π": r"\pi ",
    "∞": r"\infty ", "≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ", "⩽": r"\le ", "⩾": r"\ge ", "±": r"\pm ",
    "∓": r"\mp ", "∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ", "∖": r"\setminus ", "∅": r"\emptyset ",
    "°": r"^\circ ", "√": r"\sqrt ", "∛": r"\sqrt[3]", "≈": r"\approx ", "∑": r"\sum ", "∏": r"\prod ",
    "∫": r"\int ", "ℝ": r"\mathbb{R}", "ℤ": r"\mathbb{Z}", "ℂ": r"\mathbb{C}", "ℕ": r"\mathbb{N}", "→": r"\to ",
    "’": "'", "′": "'", "‘": "'", "“": '"', "”": '"', "，": ",", "。": ".", "、": ",", "％": "%", "∶": ":",
    "⌊": r"\lfloor ", "⌋": r"\rfloor ", "⌈": r"\lceil ", "⌉": r"\rceil ", "…": r"\ldots ", "∣": "|", "∠": r"\angle ",
}  # fmt: skip
_SPACES = "\t\r\n\x0b\x0c\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029"
_SPACES += "\u202f\u205f\u3000"
_INVISIBLE = "\u200b\u200c\u200d\u200e\u200f\u2060\u2061\u2062\u2063\ufeff\u00ad\ufe0f"


def _translation() -> dict[int, str]:
    table = {0xFF01 + offset: chr(0x21 + offset) for offset in range(94)}  # full-width ASCII
    table |= {ord(sign): f"\\frac{{{digits[0]}}}{{{digits[1]}}}" for sign, digits in _FRACTIONS.items()}
    table |= {ord(letter): f"\\{name} " for letter, name in _GREEK.items()}
    table |= {ord(sign): latex for sign, latex in _SIGNS.items()}
    table |= dict.fromkeys(map(ord, _SPACES), " ")
    table |= dict.fromkeys(map(ord, _INVISIBLE), "")
    return table


_TABLE = _translation()
_SUPERSCRIPT_RUN = re.compile("[" + "".join(_SUPERSCRIPTS) + "]+")
_SUBSCRIPT_RUN = re.compile("[" + "".join(_SUBSCRIPTS) + "]+")

_FONTS = r"text(?:bf|it|rm|sf|tt|normal|up)?|math(?:rm|bf|it|sf|tt|cal|normal)|mbox|hbox|operatorname\*?|boldsymbol|bm"
_WRAPPERS = _FONTS + "|underline|ensuremath|mathop|boxed"
_GAP = r"(?:\{,\}|,\\![ ]?|\\!,(?:\\!)?|\\[,;:]|[ ])"
_BARE_GAP = r"(?:\{,\}|,\\![ ]?|\\!,(?:\\!)?|\\[,;:]|,|[ ])"
_SIZES = r"left|right|middle|displaystyle|textstyle|scriptstyle|limits|nolimits|[bB]igg?[lrm]?|hfill|rm|bf|it|"
_SIZES += r"large|Large|LARGE|huge|Huge|small|normalsize|boldmath"


_HIDDEN = r"\\[hv]?phantom[ ]?(?:\{[^{}]*\}|[^{}\\A-Za-z])"
_SKIP = rf"[ ~]|\$|{_HIDDEN}|\\[,;:!>()\[\]]|\\[ ]|\\(?:{_SIZES}|quad|qquad|thinspace|,)(?![A-Za-z])\.?"
# `6.02e23`, `1e-9`, but `4e+7p` is a sum: a plus sign counts after decimals only.
_POWER_OF_TEN = r"[eE](?:-|(?<=\.[0-9][eE])\+|(?<=\.[0-9][0-9][eE])\+)?[0-9]{1,4}(?![0-9.A-Za-z\\^])"


def _pattern(gap: str) -> re.Pattern[str]:
    return re.compile(
        rf"""(?P<skip>(?:{_SKIP})+)
        |(?P<number>(?:[0-9]{{1,3}}(?:{gap}[0-9]{{3}})+(?![0-9])|[0-9]+)(?:\.[0-9]+|\.(?![.0-9]))?|\.[0-9]+)
            (?P<power>{_POWER_OF_TEN})?
        |(?P<font>\\(?:{_FONTS})[ ]?\{{(?P<content>[^{{}}]*)\}}|\\text[ ](?P<bare>[A-Za-z]))
        |(?P<wrapper>\\(?:{_WRAPPERS})(?=[ ]?\{{)|\\(?:text)?color[ ]?\{{[A-Za-z]{{1,20}}\}})
        |(?P<env>\\(?P<side>begin|end)[ ]?\{{(?P<name>[A-Za-z]+)\*?\}}(?:[ ]?\{{[lcr|. ]*\}})?)
        |\\(?P<command>[A-Za-z]+)
        |(?P<word>[A-Za-z]+)
        |(?P<sign>\\[{{}}%$&_#|\\]|\*\*|<=|>=|!=|==|:=|.)""",
        re.VERBOSE | re.DOTALL,
    )


_GROUPED, _SPLIT = _pattern(_BARE_GAP), _pattern(_GAP)
_ALIASES = {
    "dfrac": "frac", "tfrac": "frac", "cfrac": "frac", "leq": "le", "geq": "ge", "neq": "ne", "leqslant": "le",
    "geqslant": "ge", "varnothing": "emptyset", "lbrack": "[", "rbrack": "]", "lt": "<", "gt": ">", "colon": ":",
    "dbinom": "binom", "tbinom": "binom", "lvert": "|", "rvert": "|", "vert": "|", "land": "and", "lor": "or",
    "wedge": "and", "vee": "or", "ast": "*", "div": "/", "varphi": "phi", "varepsilon": "epsilon", "ln": "ln",
    "lparen": "(", "rparen": ")", "textdollar": "$", "degree": "degree", "dots": "ldots", "cdots": "ldots",
    "smallsetminus": "setminus", "backslash": "setminus", "lbrace": "{", "rbrace": "}", "infin": "infty",
}  # fmt: skip
_SIGN_COMMANDS = frozenset("[]()<>:|*/")
_OPENING = {"{": ("}",), r"\{": (r"\}",), "(": (")", "]"), "[": (")", "]")}
_CLOSING = frozenset(["}", r"\}", ")", "]"])
_TWO_LETTERS = re.compile(r"[A-Za-z]{2}")
_FUNCTION = re.compile(r"\s*(?:sin|cos|tan|cot|sec|csc|log|ln|exp|arcsin|arccos|arctan|cis|pi|infinity)\s*")
_JOINER_AFTER = re.compile(r"(?<=[A-Za-z0-9.])[, ]{1,4}(and|or)\s*$")
_SYMBOL = "(?:[mgshlLJNWVAKCFTH]|[A-Za-z]{2,4})"
_UNIT = re.compile(rf"\s*\(?{_SYMBOL}(?:[ ./*-]\(?{_SYMBOL}|\^-?[0-9])*\)?\s*")


def clean(text: str) -> str:
    """Return `text` with Unicode mathematics written in ASCII and LaTeX."""
    if text.isascii():
        return text.translate(_ASCII_SPACES)
    text = _SUPERSCRIPT_RUN.sub(lambda run: "^{" + "".join(_SUPERSCRIPTS[c] for c in run[0]) + "}", text)
    text = _SUBSCRIPT_RUN.sub(lambda run: "_{" + "".join(_SUBSCRIPTS[c] for c in run[0]) + "}", text)
    return text.translate(_TABLE)


_ASCII_SPACES = {9: " ", 10: " ", 11: " ", 12: " ", 13: " "}


def tokenize(cleaned: str, commas: Commas = Commas.GROUP_OUTSIDE) -> Tokens:
    """Return the tokens of a cleaned text; raise UnreadableError for unbalanced brackets and too large a text."""
    tokens: list[Token] = []
    _scan(cleaned, 0, commas, tokens, 0)
    return Tokens(cleaned, tokens, _partners(tokens))


def _scan(text: str, offset: int, commas: Commas, tokens: list[Token], level: int) -> None:
    position, spaced, depth = 0, False, 0
    while position < len(text):
        is_grouping = commas is Commas.GROUP or (commas is Commas.GROUP_OUTSIDE and depth == 0)
        match = (_GROUPED if is_grouping else _SPLIT).match(text, position)
        assert match is not None  # the last alternative takes any character
        position = match.end()
        if match["skip"] is not None or match["wrapper"] is not None:
            spaced |= match["skip"] is not None
            continue
        if len(tokens) >= MAX_TOKENS:
            raise UnreadableError("too many tokens")
        depth += _append(match, offset, spaced, commas, tokens, level)
        spaced = False


def _append(match: re.Match[str], offset: int, spaced: bool, commas: Commas, tokens: list[Token], level: int) -> int:
    """Append the token of `match` (several for `\\mathrm{…}` with mathematics) and return the change of depth."""
    start, end = match.start() + offset, match.end() + offset
    group = match.lastgroup
    if match["number"] is not None:
        tokens.append(Token(Kind.NUMBER, _digits(match["number"]) + (match["power"] or "").lower(), start, end, spaced))
    elif group == "word":
        tokens.append(Token(Kind.WORD, match["word"], start, end, spaced))
    elif group == "command":
        tokens.append(_command(match["command"], start, end, spaced))
    elif match["font"] is not None:
        _append_font(match, offset, spaced, commas, tokens, level)
    elif match["env"] is not None:
        kind = Kind.BEGIN if match["side"] == "begin" else Kind.END
        tokens.append(Token(kind, match["name"], start, end, spaced))
    else:
        return _append_sign(match["sign"], start, end, spaced, tokens)
    return 0


def _digits(number: str) -> str:
    return number if number.isdigit() else re.sub(r"[^0-9.]", "", number)


def _command(name: str, start: int, end: int, spaced: bool) -> Token:
    name = _ALIASES.get(name, name)
    if name in ("{", "}"):
        return Token(Kind.OPEN if name == "{" else Kind.CLOSE, "\\" + name, start, end, spaced)
    if name in _SIGN_COMMANDS:
        kind = Kind.OPEN if name in "([" else Kind.CLOSE if name in ")]" else Kind.SIGN
        return Token(kind, name, start, end, spaced)
    return Token(Kind.SIGN if name == "$" else Kind.COMMAND, name, start, end, spaced)


def _append_sign(sign: str, start: int, end: int, spaced: bool, tokens: list[Token]) -> int:
    if sign in _OPENING:
        tokens.append(Token(Kind.OPEN, sign, start, end, spaced))
        return sign != "{"
    if sign in _CLOSING:
        tokens.append(Token(Kind.CLOSE, sign, start, end, spaced))
        return -(sign != "}")
    tokens.append(Token(Kind.SIGN, _SIGN_ALIASES.get(sign, sign), start, end, spaced))
    return 0


_SIGN_ALIASES = {r"\%": "%", r"\$": "$", r"\_": "_", r"\&": "\\&", r"\|": "|", "==": "=", ":=": "="}


def _append_font(
    match: re.Match[str], offset: int, spaced: bool, commas: Commas, tokens: list[Token], level: int
) -> None:
    """Words stay one TEXT token, a unit's letter too; mathematics in a font is read as if the font were not there."""
    content = match["content"] if match["bare"] is None else match["bare"]
    start, end = match.start() + offset, match.end() + offset
    if not content.strip():
        return
    is_function = _FUNCTION.fullmatch(content)
    has_words = _TWO_LETTERS.search(content) and not is_function
    is_unit = _UNIT.fullmatch(content) and _may_precede_unit(tokens)
    if has_words or is_unit or level >= 2:
        joiner = _JOINER_AFTER.search(content)
        middle = start if joiner is None else offset + match.start("content") + joiner.start()
        if joiner is not None:  # `3\text{ cm and }4\text{ cm}`
            inner = offset + match.start("content")
            tokens.append(Token(Kind.TEXT, content[: joiner.start()].strip(), inner, middle, spaced))
            content = joiner[1]
        tokens.append(Token(Kind.TEXT, content.strip(), middle, end, spaced))
        return
    inner = match.start("content") if match["bare"] is None else match.start("bare")
    _scan(content, offset + inner, commas, tokens, level + 1)


def _may_precede_unit(tokens: list[Token]) -> bool:
    """True after a number, a bracket, a degree sign and another unit: `6\\text{ N}\\cdot\\text{m}`."""
    if not tokens:
        return False
    last = tokens[-1]
    if last.text in ("cdot", "/", "times"):
        return any(token.kind is Kind.TEXT for token in tokens[-6:-1])
    return last.kind in (Kind.NUMBER, Kind.CLOSE, Kind.TEXT) or last.text in ("circ", "degree", "mu")


def _partners(tokens: list[Token]) -> list[int]:
    """Match the brackets; `(` may close with `]` and `[` with `)`, as half-open intervals do."""
    partner = [-1] * len(tokens)
    stack: list[int] = []
    for index, token in enumerate(tokens):
        if token.kind is Kind.OPEN or token.kind is Kind.BEGIN:
            stack.append(index)
            if len(stack) > MAX_DEPTH:
                raise UnreadableError("nested too deeply")
        elif token.kind is Kind.CLOSE or token.kind is Kind.END:
            if not stack or not _closes(tokens[stack[-1]], token):
                raise UnreadableError("unbalanced brackets")
            opening = stack.pop()
            partner[opening], partner[index] = index, opening
    if stack:
        raise UnreadableError("unbalanced brackets")
    return partner


def _closes(opening: Token, closing: Token) -> bool:
    if opening.kind is Kind.BEGIN or closing.kind is Kind.END:
        return opening.kind is Kind.BEGIN and closing.kind is Kind.END and opening.text == closing.text
    return closing.text in _OPENING[opening.text]
