"""The cortex on a page: flat maps, and meshes painted as images."""
