"""What this app registers with the apps below when it starts: hand_in.py does it, the other modules hold it."""
