"""The report of a stimulus set and its network alone."""
