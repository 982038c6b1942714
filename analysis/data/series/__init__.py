"""Time series on a surface, whatever file they are in; and how volumes are brought there."""
