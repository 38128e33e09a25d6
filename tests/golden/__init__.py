"""Golden values: what the command line and the library gave before the code was moved.

`python -m tests.golden` writes them again. That belongs in a commit that means to change numbers, and in no other.
"""
