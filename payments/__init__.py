"""Money for space: storage plans paid by M-Pesa."""
