"""Attribution methods, one a file, and `explain`, which runs them."""
