"""What the subject reads: texts in the study's language, drawn as pictures."""
