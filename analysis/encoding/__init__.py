"""Encoding models: ROMP, generalisation from RE to AN and AI images."""
