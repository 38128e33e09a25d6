"""The report: several results in one HTML file."""
