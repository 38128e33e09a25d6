"""What only the Occlusion page shows."""
