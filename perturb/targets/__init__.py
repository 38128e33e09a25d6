"""What is explained: a target, its score, and what is read from each forward pass."""
