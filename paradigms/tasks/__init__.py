"""The paradigms: each makes a schedule and says what its events draw."""
