"""The image set: built, checked, shown, and described by a network's features."""
