"""The ground: who takes part, with which settings, and where everything is kept."""
