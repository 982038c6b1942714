"""The commands of ``python -m stimuli`` that set networks beside people, and the options that commands share."""
