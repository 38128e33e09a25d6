"""Images, charts and downloads that pages share."""
