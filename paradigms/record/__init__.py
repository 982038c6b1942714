"""What a run leaves on disk: journal, events, verdict, scores, apertures; and its recovery."""
