"""Sentences from libraries that the portal's users read, listed for the translator.

Django's Swahili is rough and has gaps; REST framework has none. `make messages` finds only sentences in our files. Our
catalog takes precedence over the libraries', so a sentence listed here gets our translation. They are grouped by the
module they come from: a test checks that each still occurs there letter for letter.
"""

from django.utils.translation import gettext_noop as _


def ngettext(singular, plural):
    """Both forms of a sentence with a number; `make messages` collects them by this function's name."""
    return singular, plural


LIBRARY_MESSAGES = {
    "django.core.validators": (
        _("Enter a valid value."),
        _("Enter a valid URL."),
        _("Enter a valid integer."),
        _("Enter a valid email address."),
        _("Enter a valid “slug” consisting of letters, numbers, underscores or hyphens."),
        _("Ensure this value is less than or equal to %(limit_value)s."),
        _("Ensure this value is greater than or equal to %(limit_value)s."),
        ngettext(
            "Ensure this value has at least %(limit_value)d character (it has %(show_value)d).",
            "Ensure this value has at least %(limit_value)d characters (it has %(show_value)d).",
        ),
        ngettext(
            "Ensure this value has at most %(limit_value)d character (it has %(show_value)d).",
            "Ensure this value has at most %(limit_value)d characters (it has %(show_value)d).",
        ),
        _("Null characters are not allowed."),
    ),
    "django.db.models.fields": (
        _("This field cannot be null."),
        _("This field cannot be blank."),
        _("%(model_name)s with this %(field_label)s already exists."),
        _("Value %(value)r is not a valid choice."),
    ),
    "django.db.models.base": (_("%(model_name)s with this %(field_labels)s already exists."),),
    "django.forms.fields": (
        _("This field is required."),
        _("Enter a whole number."),
        _("Enter a number."),
        _("Enter a valid date."),
        _("Enter a valid time."),
        _("Enter a valid date/time."),
        _("Enter a valid duration."),
        _("Enter a list of values."),
        _("Enter a complete value."),
        _("Enter a valid UUID."),
        _("No file was submitted. Check the encoding type on the form."),
        _("No file was submitted."),
        _("The submitted file is empty."),
        ngettext(
            "Ensure this filename has at most %(max)d character (it has %(length)d).",
            "Ensure this filename has at most %(max)d characters (it has %(length)d).",
        ),
        _("Upload a valid image. The file you uploaded was either not an image or a corrupted image."),
        _("Select a valid choice. %(value)s is not one of the available choices."),
    ),
    "django.forms.models": (
        _("Select a valid choice. That choice is not one of the available choices."),
        _("“%(pk)s” is not a valid value."),
        _("Please correct the duplicate values below."),
    ),
    "django.forms.forms": (_("(Hidden field %(name)s) %(error)s"),),
    "django.contrib.auth.password_validation": (
        ngettext(
            "This password is too short. It must contain at least %d character.",
            "This password is too short. It must contain at least %d characters.",
        ),
        ngettext(
            "Your password must contain at least %(min_length)d character.",
            "Your password must contain at least %(min_length)d characters.",
        ),
        _("The password is too similar to the %(verbose_name)s."),
        _("Your password can’t be too similar to your other personal information."),
        _("This password is too common."),
        _("Your password can’t be a commonly used password."),
        _("This password is entirely numeric."),
        _("Your password can’t be entirely numeric."),
    ),
    "django.template.defaultfilters": (ngettext("%(size)d byte", "%(size)d bytes"),),
    "django.utils.dates": (_("December"), _("dec")),
    "django.utils.timesince": (
        ngettext("%(num)d year", "%(num)d years"),
        ngettext("%(num)d month", "%(num)d months"),
        ngettext("%(num)d week", "%(num)d weeks"),
        ngettext("%(num)d day", "%(num)d days"),
        ngettext("%(num)d hour", "%(num)d hours"),
        ngettext("%(num)d minute", "%(num)d minutes"),
    ),
    "rest_framework.exceptions": (
        _("A server error occurred."),
        _("Malformed request."),
        _('Method "{method}" not allowed.'),
        _("Could not satisfy the request Accept header."),
        _('Unsupported media type "{media_type}" in request.'),
        _("Request was throttled."),
        ngettext("Expected available in {wait} second.", "Expected available in {wait} seconds."),
    ),
    "rest_framework.fields": (
        _("This field may not be null."),
        _("Must be a valid boolean."),
        _("Not a valid string."),
        _("This field may not be blank."),
        _("Ensure this field has no more than {max_length} characters."),
        _("Ensure this field has at least {min_length} characters."),
        _("This value does not match the required pattern."),
        _('Enter a valid "slug" consisting of letters, numbers, underscores or hyphens.'),
        _("Must be a valid UUID."),
        _("Enter a valid IPv4 or IPv6 address."),
        _("A valid integer is required."),
        _("A valid number is required."),
        _("Ensure this value is less than or equal to {max_value}."),
        _("Ensure this value is greater than or equal to {min_value}."),
        _("String value too large."),
        _("Datetime has wrong format. Use one of these formats instead: {format}."),
        _("Expected a datetime but got a date."),
        _("Datetime value out of range."),
        _("Date has wrong format. Use one of these formats instead: {format}."),
        _("Expected a date but got a datetime."),
        _('"{input}" is not a valid choice.'),
        _('Expected a list of items but got type "{input_type}".'),
        _("This selection may not be empty."),
        _("The submitted data was not a file. Check the encoding type on the form."),
        _("No filename could be determined."),
        _("Ensure this filename has at most {max_length} characters (it has {length})."),
        _("This list may not be empty."),
        _("Ensure this field has at least {min_length} elements."),
        _("Ensure this field has no more than {max_length} elements."),
        _('Expected a dictionary of items but got type "{input_type}".'),
        _("This dictionary may not be empty."),
        _("Value must be valid JSON."),
    ),
    "rest_framework.relations": (
        _('Invalid pk "{pk_value}" - object does not exist.'),
        _("Incorrect type. Expected pk value, received {data_type}."),
        _("Object with {slug_name}={value} does not exist."),
        _("Invalid value."),
    ),
    "rest_framework.serializers": (_("Invalid data. Expected a dictionary, but got {datatype}."),),
    "rest_framework.validators": (
        _("This field must be unique."),
        _("The fields {field_names} must make a unique set."),
        _("Surrogate characters are not allowed: U+{code_point:X}."),
    ),
}
