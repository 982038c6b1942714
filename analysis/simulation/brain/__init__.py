"""The virtual brain: its mesh, areas, receptive fields and localizer responses."""
