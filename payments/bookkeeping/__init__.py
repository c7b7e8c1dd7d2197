"""What a firm keeps of its payments: receipts, reviews by an administrator, the chart of income."""
