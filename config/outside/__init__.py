"""Access to other servers: HTTP, queue, bucket, mail; and the secrets it needs."""
