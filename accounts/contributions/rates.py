"""The rate limits of this app, per user or per IP address (config.http.throttling)."""

RATES = {
    "login": "10/m",
    # Per IP address, for all accounts together: each log-in costs a password hash and a row of the audit log.
    "login_address": "100/m",
    "refresh": "60/m",
    "second_factor": "10/m",
    "passkey": "60/m",
    "forgot_password": "5/h",
    # Per account, from all IP addresses. The window is as long as the lifetime of a reset link, so at the limit the
    # owner still has a link that works.
    "reset_letters": "3/15m",
    # Per mailbox, from all callers: e-mails that a stranger can make us send there (sign-up, new address, receipt).
    "unasked_letters": "10/h",
    "reset_password": "20/h",
    "signup": "10/h",
    "data_export": "5/h",
    "account_closure": "5/h",
    "avatar": "10/m",
    # Recipients of the e-mails that one user makes the portal send to other people.
    "letters": "200/d",
}
