"""Refusals of operations, shown beside the form they came from."""

from .errors import Refused


def attempt(form, operation, **kwargs):
    """Call `operation` with a valid form's data. Returns (True, result), or (False, the Refused).

    A refusal becomes errors of the form, by field where it names fields that the form has.
    A limit on the rate or a fault behind the portal is no matter of the form and goes on up.
    """
    try:
        return True, operation(**kwargs)
    except Refused as refusal:
        if refusal.status in (429, 503):
            raise
        errors = {field: texts for field, texts in (refusal.errors or {}).items() if field in form.fields}
        if errors:
            for field, texts in errors.items():
                form.add_error(field, [str(text) for text in texts])
        else:
            form.add_error(None, str(refusal.message))
        return False, refusal
