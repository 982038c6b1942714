"""The robustness report: N1 to N3 of a set under other choices."""
