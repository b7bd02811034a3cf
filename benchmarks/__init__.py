"""Speed benchmarks: ratios of times measured side by side in one run; not part of the tests."""
