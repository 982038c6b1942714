"""Doubles of the devices: scanner, display, participant, sent keys."""
