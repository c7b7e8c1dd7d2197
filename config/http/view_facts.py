"""Facts that a view declares about itself, so that middleware need not know its address.

    body_limit      most bytes of a body; None: no limit here, the view stops reading by itself
    refuses_in      JSON, or JSON_UNLESS_PAGE; without it the Accept header decides
    needs_session   False where the address alone lets the caller in
    shows_secret    True where a page shows a secret; it is not compressed then

A class has them as attributes; a function gets them by `says`.
"""

JSON = "JSON"
JSON_UNLESS_PAGE = "JSON, unless a page is asked for"


def says(**facts):
    """Decorator: give a view function these facts."""

    def mark(view):
        view.__dict__.update(facts)
        return view

    return mark


def fact_of(view, name, default):
    """A fact of a view: from the function that the resolver found, or from its class."""
    for owner in (view, getattr(view, "view_class", None), getattr(view, "cls", None)):
        if hasattr(owner, name):
            return getattr(owner, name)
    return default
