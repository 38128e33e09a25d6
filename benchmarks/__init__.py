"""Long measurements, on real photographs and against peers; never part of the tests."""
