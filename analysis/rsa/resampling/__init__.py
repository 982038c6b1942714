"""Draws of labels, of images, and of features, and what RDMs are under them."""
