"""Accounts of people: sign-up, invitations, roles, companies, profiles."""
