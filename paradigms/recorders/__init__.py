"""Other machines that record a run beside the scanner: markers out, an eye tracker."""
