"""The Django admin, whose forms call the portal's operations: the site, its actions and its inline rows."""
