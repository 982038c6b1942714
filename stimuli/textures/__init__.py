"""Textures: what retinotopic mapping and the LO localizer show."""
