"""The second factor at sign-in: authenticator apps, passkeys, recovery codes."""
