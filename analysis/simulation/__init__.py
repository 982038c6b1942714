"""The virtual subject: responses, noise, BOLD."""
