"""What only the Segmenters page shows."""
