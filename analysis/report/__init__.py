"""The report: records, tables, figures, scorecard, one HTML page."""
