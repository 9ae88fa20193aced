"""The verbs of the command line, one file each; `cli.py` finds and runs them."""
