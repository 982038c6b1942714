"""What differs between Linux, Windows and macOS at the console; nothing else in devices asks which platform it is on.

Functions take the platform, and what loads its modules and libraries: tests drive every branch with doubles.
"""
