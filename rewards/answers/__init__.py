r"""What an answer means: text -> tokens -> tree -> typed value, and whether two values are the same.

| step | files |
|---|---|
| text -> tokens | `latex`, `cursor` |
| tokens -> tree | `parser`, `notation` |
| text -> typed values | `reader`, with `quantity`, `words`, `specials`, `values` |
| the words of a quantity | `units`, with `unit_table`, `nouns` (what may be counted), `numerals` |
| equal? | `compare`, with `relations`, `intervals`, `expressions` |
| what an expression is worth | `evaluate` (exact), `approximate` (roots, logarithms, angles) |
| all of it, in this process | `grading` |

Nothing here knows completions, tags or boxes, and nothing here starts a process.
"""
