"""Whether a run's data can be its own: which vertices have a signal, whose events they hold."""
