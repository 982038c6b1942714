"""Devices: display, trigger, buttons, tracker, and the protocols that they keep."""
