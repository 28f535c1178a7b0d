"""Access to the API: keys, browser sessions, stream tickets, and limits on failed logins."""
