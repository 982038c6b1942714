"""What the operator works with: sessions, panels, the preflight, the geometry card."""
