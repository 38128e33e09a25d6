"""Parts of the Segmenters page."""
