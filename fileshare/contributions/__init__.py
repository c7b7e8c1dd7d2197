"""What this app registers with the apps below it at the start. hand_in.py registers it, the other modules define it."""
