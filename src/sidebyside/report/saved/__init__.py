"""How what several saved results say is shown."""
