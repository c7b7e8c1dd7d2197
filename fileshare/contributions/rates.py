"""The rate limits of this app, for each user or address (config.http.throttling)."""

RATES = {
    "initiate": "10/m",
    "download_url": "60/m",
    "share_password": "10/m",
    # Passwords for one link, from all addresses together.
    "share_password_link": "300/h",
    # Downloads by encrypted links; then tries with a forged link or one made for another user.
    "redeem": "120/m",
    "foreign_link": "10/m",
    "share": "60/h",
    "preview": "30/m",
    # People whom one user of the clients desk invites.
    "invitations": "5000/d",
    "invitation_again": "10/h",
    # ZIPs by one share link, from all addresses: each writes a row of the log for every file in it.
    "share_archive": "60/h",
    # Moves, copies, deletions and tags of up to a thousand files at once.
    "many_files": "60/m",
}
