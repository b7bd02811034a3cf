"""Speed benchmarks: ratios of times that one run measures side by side; not part of the tests."""
