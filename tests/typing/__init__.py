"""Code that a type checker reads as a user's."""
