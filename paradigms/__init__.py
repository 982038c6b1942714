"""What is shown at the scanner, played on devices, and the record of what happened."""
