"""The small network that ships with the project, and its training."""
