"""Code that every other package uses: errors, files, quoting, settings, colours and threads."""
