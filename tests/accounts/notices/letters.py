"""Finding the link in a letter."""

import re
from urllib.parse import unquote


def link_in(message):
    """The first link with a token in a letter's plain text."""
    return re.search(r"http\S+\?token=\S+", message.body).group()


def token_in(message):
    """The token of that link."""
    return unquote(link_in(message).split("token=", 1)[1])
