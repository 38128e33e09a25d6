"""What the person who runs the app decides: its limits."""
