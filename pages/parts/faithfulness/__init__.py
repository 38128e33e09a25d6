"""Parts of the Faithfulness page."""
