"""Receptive fields in the report, and contact sheets of the apertures that they are fitted with."""
