"""Run code on a stranger's file in a confined process of its own."""
