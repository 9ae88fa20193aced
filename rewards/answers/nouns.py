"""Which words after a number may be what was counted, so that `5 apples` is 5 while `5 incorrect` is not.

Nouns are an open class, so they are known by what they are not and by their form. A word is refused

- anywhere (`CLAIMS`): it denies, compares, offers an alternative, computes or counts: `not`, `or`, `less`, `plus`,
 , `million`. The text is then no quantity, whatever the gold is
- as the noun (`is_counted`): judgements, adverbs and other words of closed classes (`incorrect`, `maybe`, `below`), and
  every word that is no plural. After one or a part of one (`1 apple`, `\\frac{1}{2} pizza`) a singular will do

Words for a number of things that is not the number before them (`pairs`, `quarters`) are refused as the noun too: five
pairs are ten. Where the gold has that noun itself, it is the gold's unit and may be left out like any other.
"""

from reasoning_grpo.rewards.answers.numerals import NUMBER_WORDS, scale_of

_CLAIM_WORDS = (
    "not no nor neither none never without except but or either if else unless otherwise instead is isn isn't "
    "are aren't was were be been being am isnt does doesn't did do can cannot could should would will won't may "
    "might must plus minus less fewer more most least than greater smaller larger bigger over under above below "
    "between about around approximately roughly nearly almost up upto from until till then hence thus so "
    "therefore because since while whereas and equals equal mod modulo modulus base divided multiplied added "
    "subtracted raised point once twice thrice double triple percent percentage percents infinity infinite pi e "
    "i x y z n nan inf null nil void undefined unknown as whether both"
)
_NO_NOUN_WORDS = (
    "right wrong correct incorrect true false valid invalid yes nope nah yep ok okay maybe perhaps possibly "
    "sure odd even prime composite negative positive rounded exact estimated inclusive exclusive included "
    "excluded inverse reciprocal opposite complement factorial squared cubed root log fold ish etc again also "
    "too just still always sometimes often usually here there now later earlier before after ago back down out "
    "off this these those that its his hers ours theirs yours whose besides towards upwards downwards onwards "
    "afterwards ones tens pairs couples trios quarters quartets dozens grosses ths nds rds us guess "
    "guesses score gross grand"
)
_IRREGULAR_WORDS = (
    "people children men women feet teeth mice geese oxen fish sheep deer cattle poultry police staff crew dice "
    "data series species aircraft salmon trout shrimp squid bison moose offspring vertices indices matrices "
    "axes radii foci loci fungi cacti nuclei alumni stimuli bacteria criteria phenomena polyhedra octahedra "
    "tetrahedra gentlemen firemen policemen postmen salesmen fishermen grandchildren schoolchildren homework "
    "furniture luggage money candy fruit food popcorn baht rand shillings forint zloty times kiwis emus menus "
    "skis taxis profit change discount interest chocolate silver gold cutlery"
)
_TRAILING_WORDS = (
    "each apiece left remaining remain total altogether together combined needed sold saved today tomorrow now "
    "daily weekly long tall high wide deep old away apart thick distant"
)
_ALONE_WORDS = "each apiece left remaining total altogether together combined"
CLAIMS = frozenset(_CLAIM_WORDS.split()) | NUMBER_WORDS
_NO_NOUNS = frozenset(_NO_NOUN_WORDS.split())
_IRREGULAR = frozenset(_IRREGULAR_WORDS.split())
TRAILING = frozenset(_TRAILING_WORDS.split())  # may follow the noun: `5 apples left`
ALONE = frozenset(_ALONE_WORDS.split())  # and may stand without one: `5 left`
MORE = frozenset(["more", "fewer", "additional"])  # `5 more apples` are 5 apples; `5 more` is no amount
_SINGULAR_ENDINGS = ("ss", "us", "is", "ous", "ness")
_ADVERB_ENDINGS = ("ly", "wise", "ward", "wards")


def is_claim(word: str) -> bool:
    """True for a lower-case word that says more than what was counted; a polynomial has zeros."""
    if word == "zeros":
        return False
    return word in CLAIMS or word.removesuffix("s") in NUMBER_WORDS or scale_of(word) is not None


def is_counted(word: str, *, may_be_singular: bool = False) -> bool:
    """True when a lower-case word can be a counted noun."""
    if len(word) < 3 or word in _NO_NOUNS or is_claim(word) or word.endswith(_ADVERB_ENDINGS):
        return False
    if word in _IRREGULAR or word.endswith("fish") or (word.endswith("s") and not word.endswith(_SINGULAR_ENDINGS)):
        return True
    return may_be_singular and word + "s" not in _NO_NOUNS and not word.endswith("ed")
