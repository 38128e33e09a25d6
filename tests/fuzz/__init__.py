"""Mutated files, each read in a child process, so that a native crash is a failure with its number, not the end of the tests."""
