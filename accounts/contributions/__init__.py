"""What this app registers with the lower layers at the start: hand_in.py registers it, the other modules define it."""
