"""What is hidden, and what stands in its place."""
