"""What is planned for a subject and what was scanned: run sheet, checklist, series of images joined to attempts."""
