"""From localizer runs to LO and hMT+: contrasts, masks, the step."""
