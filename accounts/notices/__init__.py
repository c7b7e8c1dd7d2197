"""What the portal tells users: notices, e-mails (“letters”), daily digests, the unread count."""
