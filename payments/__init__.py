"""Storage plans, paid by M-Pesa."""
