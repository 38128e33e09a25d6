"""Long measurements, on real photographs and against other packages; not part of the tests."""
