"""A position in a slice of tokens, with words and numbers that are taken letter by letter."""

from reasoning_grpo.rewards.answers.latex import Kind, Token, Tokens, UnreadableError


class Cursor:
    """Walks over tokens; `pending` holds what is left of a token that was split, nearest last."""

    def __init__(self, tokens: Tokens, start: int, end: int) -> None:
        self.source = tokens
        self.tokens = tokens.tokens
        self.partner = tokens.partner
        self.position = start
        self.end = end
        self.pending: list[Token] = []  # tokens split off the one at `position`, nearest last

    def peek(self) -> Token | None:
        """Return the next token, None at the end."""
        if self.pending:
            return self.pending[-1]
        return self.tokens[self.position] if self.position < self.end else None

    def text(self) -> str:
        """Return the text of the next token."""
        token = self.peek()
        return "" if token is None else token.text

    def take(self) -> Token:
        """Move past the next token and return it."""
        if self.pending:
            return self.pending.pop()
        if self.position >= self.end:
            raise UnreadableError("the expression ends too early")
        self.position += 1
        return self.tokens[self.position - 1]

    def is_sign(self, *texts: str) -> bool:
        """True when the next token is one of these signs or commands."""
        token = self.peek()
        return token is not None and token.kind in (Kind.SIGN, Kind.COMMAND) and token.text in texts

    def skip(self, *texts: str) -> bool:
        """Move past the next token if it is one of these."""
        if self.is_sign(*texts):
            self.take()
            return True
        return False

    def group_tokens(self) -> list[Token]:
        """Take a braced group, or one token, without reading it."""
        token = self.take()
        if token.text != "{" or token.kind is not Kind.OPEN:
            return [token]
        start, stop = self.position, self.partner[self.position - 1]
        self.position = stop + 1
        return self.tokens[start:stop]

    def push_rest(self, token: Token, length: int) -> None:
        """Put the letters of a word after the first `length` back as a word of their own."""
        if length < len(token.text):
            rest = token.text[length:]
            self.pending.append(Token(Kind.WORD, rest, token.start + length, token.end, False))
