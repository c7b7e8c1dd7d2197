"""M-Pesa: Safaricom's Daraja API, its callbacks, and what its answers mean."""
