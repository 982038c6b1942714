"""Importance maps of a lab's own: people uncover in an image what identifies it."""
