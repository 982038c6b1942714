"""What people look at in an image: importance maps, read from files, and how well people agree."""
