"""What only the Faithfulness page shows."""
