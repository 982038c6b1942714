"""What is looked at before a fit and minutes after a run: the design of the sessions, and whether a scan was good."""
