"""Space: the quotas of folders, extra space granted for a time, and what the store really holds."""
