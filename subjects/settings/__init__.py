"""Typed settings in TOML: one module a group of sections; see :mod:`subjects.settings.study.loading`."""
