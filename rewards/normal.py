r"""One spelling per formula: the notation that carries no meaning is removed before anything is compared.

Unicode signs become LaTeX (π, √, ×, ½, ², ∞, ≤, full-width digits), sizing and spacing commands go, `\dfrac` is
`\frac`, `$…$` is dropped. Nothing is evaluated here, and no word is ever removed. Linear in the text.
"""

import re

_SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-", strict=True))
_FRACTIONS = {
    "½": "12", "⅓": "13", "⅔": "23", "¼": "14", "¾": "34", "⅕": "15", "⅖": "25", "⅗": "35", "⅘": "45",
    "⅙": "16", "⅚": "56", "⅐": "17", "⅛": "18", "⅜": "38", "⅝": "58", "⅞": "78", "⅑": "19",
}  # fmt: skip
_SIGNS = {
    "−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-", "﹣": "-", "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ",
    "∙": r"\cdot ", "÷": "/", "∕": "/", "⁄": "/", "π": r"\pi ", "∞": r"\infty ", "≤": r"\le ", "≥": r"\ge ",
    "≠": r"\ne ", "⩽": r"\le ", "⩾": r"\ge ", "±": r"\pm ", "∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ",
    "∅": r"\emptyset ", "°": r"^\circ ", "√": r"\sqrt ", "≈": r"\approx ", "∑": r"\sum ", "∏": r"\prod ",
    "∫": r"\int ", "θ": r"\theta ", "ℝ": r"\mathbb{R}", "ℤ": r"\mathbb{Z}", "’": "'", "′": "'", "“": '"', "”": '"',
    "，": ",", "。": ".", "％": "%", "¥": "¥",
}  # fmt: skip
_SPACES = "\t\r\n\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u00ad"


def _translation() -> dict[int, str]:
    table = {0xFF01 + offset: chr(0x21 + offset) for offset in range(94)}  # full-width ASCII
    table |= {ord(sign): f"\\frac{{{digits[0]}}}{{{digits[1]}}}" for sign, digits in _FRACTIONS.items()}
    table |= {ord(sign): latex for sign, latex in _SIGNS.items()}
    table |= dict.fromkeys(map(ord, _SPACES), " ")
    table |= dict.fromkeys(map(ord, _INVISIBLE), "")
    return table


_TABLE = _translation()
_SUPERSCRIPT_RUN = re.compile("[" + "".join(_SUPERSCRIPTS) + "]+")
_MATH_DELIMITER = re.compile(r"(?<!\\)\\[()\[\]]|(?<!\\)\$(?![0-9.])|(?<!\\)\$(?=[^$]{0,2000}\$)|\$\$")
_SPACING = re.compile(r"(?<!\\)\\!|\\(?:left|right|displaystyle|textstyle|bigl?|bigr|Bigl?|Bigr|limits)(?![A-Za-z])")
_SPACE_COMMAND = re.compile(r"(?<!\\)\\[,;: ]|~|\\(?:quad|qquad|hspace\{[^{}]{0,20}\})(?![A-Za-z])")
_FRAC = re.compile(r"\\[dtc]frac(?![A-Za-z])")
_SHORT_FRAC = re.compile(r"\\frac ?(?:([0-9])|\{([^{}]{1,200})\}) ?(?:([0-9A-Za-z])|\{([^{}]{1,200})\})")
_BARE_SQRT = re.compile(r"\\sqrt ?(?:([0-9]+|[A-Za-z])|\(([^()]{1,100})\))")
_MATRIX = re.compile(r"\\(begin|end)\{(?:[bB]|small)matrix\}")
_ARRAY = re.compile(r"[(\[] ?\\begin\{array\} ?\{[^{}]{0,20}\}|\\end\{array\} ?[)\]]")
_LAST_ROW_BREAK = re.compile(r"\\\\ ?(?=\\end\{)")
_INFINITY = re.compile(r"\\text ?\{ ?infinity ?\}|(?<![A-Za-z\\])infinity(?![A-Za-z])", re.IGNORECASE)
_GROUP_COMMA = re.compile(r"(?<=[0-9])(?:\{,\}|, ?(?=[0-9]{3}(?![0-9])))(?=[0-9]{3})")
_ALIASES = {
    r"\leq": r"\le", r"\geq": r"\ge", r"\neq": r"\ne", r"\varnothing": r"\emptyset", r"\lbrace": r"\{",
    r"\rbrace": r"\}", r"\leqslant": r"\le", r"\geqslant": r"\ge", r"\textdollar": r"\$", r"\degree": r"^\circ",
    r"\colon": ":", r"\lt": "<", r"\gt": ">",
}  # fmt: skip
_COMMAND = re.compile(r"\\[A-Za-z]+")
_LOOSE_SPACE = re.compile(r"(?<![A-Za-z0-9]) +| +(?![A-Za-z0-9])")
_MANY_SPACES = re.compile(r" {2,}")
_BRACKET = re.compile(r"[()\[\]{}]")
_TEXT = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|rm|bf|mbox|operatorname) ?\{([^{}]*)\}")


def normalise(answer: str) -> str:
    r"""Return `answer` in the one spelling that the exact stages compare.

    A blank survives only between two letters or digits (`3 1/2`, `no solution`), and `\text{…}` stays: it tells a
    word from a product of variables.
    """
    text = _from_unicode(answer)
    text = _COMMAND.sub(lambda command: _ALIASES.get(command[0], command[0]), text)
    text = _SPACE_COMMAND.sub(" ", _SPACING.sub("", text))
    text = _FRAC.sub(r"\\frac", _MATH_DELIMITER.sub(" ", text))
    text = _SHORT_FRAC.sub(_full_frac, text)
    text = _BARE_SQRT.sub(lambda root: f"\\sqrt{{{root[1] or root[2]}}}", text)
    text = _ARRAY.sub(lambda side: "\\begin{pmatrix}" if "begin" in side[0] else "\\end{pmatrix}", text)
    text = _INFINITY.sub(r"\\infty ", _LAST_ROW_BREAK.sub("", _MATRIX.sub(r"\\\1{pmatrix}", text)))
    return _LOOSE_SPACE.sub("", _MANY_SPACES.sub(" ", text)).strip(" ").rstrip(".")


def without_text(normalised: str) -> str:
    r"""Unwrap `\text{…}` and its kin: `5\text{ cm}` is `5 cm`."""
    return _LOOSE_SPACE.sub("", _MANY_SPACES.sub(" ", _TEXT.sub(r" \1 ", normalised))).strip(" ").rstrip(".")


def max_nesting(text: str) -> int:
    """Return how deep brackets of any kind are nested, closed or not."""
    depth = deepest = 0
    for bracket in _BRACKET.findall(text):
        depth = depth + 1 if bracket in "([{" else max(0, depth - 1)
        deepest = max(deepest, depth)
    return deepest


def _from_unicode(text: str) -> str:
    if text.isascii():
        return text.translate({9: " ", 10: " ", 13: " "})
    text = _SUPERSCRIPT_RUN.sub(lambda run: "^{" + "".join(_SUPERSCRIPTS[c] for c in run[0]) + "}", text)
    return text.translate(_TABLE)


def _full_frac(match: re.Match[str]) -> str:
    return f"\\frac{{{match[1] or match[2]}}}{{{match[3] or match[4]}}}"
