"""Speed benchmarks, not part of the tests: ratios of times measured side by side in one run."""
