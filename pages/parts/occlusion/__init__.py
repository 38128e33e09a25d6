"""Parts of the Occlusion page."""
