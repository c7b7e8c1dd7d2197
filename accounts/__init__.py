"""People and their messages: users, companies, roles, sessions, notifications, mail."""
