"""The reasons to refuse a file for its name, declared type or content: their codes, and the sentences for users.

Each sentence says what the portal found, then what the user can do. Where the name tells the program that made the
file, the sentence names that program.
"""

from django.utils.translation import gettext_lazy as _

from config.errors import Refused

BY_NAME = {
    "extension_not_allowed": _("Only .docx, .xlsx and .pptx files are taken here."),
    "extension_blocked": _("Files of this kind are not taken: they could do harm."),
    "content_type_blocked": _("Files of this kind are not taken: they could do harm."),
    "content_type_mismatch": _(
        "The declared type does not fit the file's name. Declare the type that belongs to the ending, or none."
    ),
}
BY_CONTENT = {
    "content_mismatch": _(
        "The file is not what its name says. Open it in the program that made it, save it again and upload that."
    ),
    "active_content": _(
        "The picture holds a script or something else that acts by itself. Save it as a PNG and upload that."
    ),
    "svg_too_large": _(
        "An SVG picture may have at most 4 MiB: larger ones are not checked. Save it as a PNG and upload that."
    ),
    "leads_outside": _(
        "The archive holds a name or a link that leads out of its folder. Make the archive again without it."
    ),
}
BY_PACKAGE = {
    "not_ooxml": _("This is not a Word, Excel or PowerPoint file. Save it as .docx, .xlsx or .pptx and upload that."),
    "macro_enabled": _(
        "The file holds macros or active controls. Save it as .docx, .xlsx or .pptx without them and upload that."
    ),
    "encrypted_document": _(
        "The file is locked by a password, so it cannot be checked. Remove the password and upload it again."
    ),
    "legacy_office_document": _("This is an old Office format. Save it as .docx, .xlsx or .pptx and upload that."),
    "wrong_ooxml_kind": _(
        "This is another kind of Office file than its name says. Give it the ending of its kind and upload it again."
    ),
    "malformed_package": _(
        "The file is damaged or built in an unusual way. Open it in its program, save it again and upload that."
    ),
    "zip_bomb": _("The file would unpack to far more than its size allows. Upload its content in smaller files."),
    "xml_bomb": _(
        "The file holds XML that may not be read safely. Open it in its program, save it again and upload that."
    ),
    "polyglot": _(
        "The file holds other data before or behind its content. Open it in its program, save it again and upload that."
    ),
    "truncated_file": _("The file is cut off; part of it is missing. Upload it again."),
    "executable_content": _("The file holds a program or a script, and those are not taken: they could do harm."),
}
SENTENCES = BY_NAME | BY_CONTENT | BY_PACKAGE

WEB_PAGE = _("Web pages are not taken: they can hold scripts. Save the page as a PDF and upload that.")
MACRO_KIND = _(
    "Files of this kind can hold macros. Save it from %(program)s as %(ending)s, without macros, and upload that."
)
PAGE_AS_OFFICE = _("This is a web page with the ending of %(program)s. Save it from %(program)s as %(ending)s.")
NEWER_OFFICE = _("This is a newer Office file than its name says. Save it from %(program)s as %(ending)s.")
BY_PROGRAM = {
    "extension_not_allowed": _(
        "Only .docx, .xlsx and .pptx files are taken here. Save it from %(program)s as %(ending)s and upload that."
    ),
    "content_mismatch": _(
        "The file is not what its name says. Save it from %(program)s as %(ending)s and upload that."
    ),
    "not_ooxml": _("The file is not what its name says. Save it from %(program)s as %(ending)s and upload that."),
    "macro_enabled": _(
        "The file holds macros or active controls. Save it from %(program)s as %(ending)s, without macros, "
        "and upload that."
    ),
    "encrypted_document": _(
        "The file is locked by a password, so it cannot be checked. Remove the password in %(program)s and upload it "
        "again."
    ),
    "legacy_office_document": _(
        "This is an old Office format. Save it from %(program)s as %(ending)s and upload that."
    ),
    "malformed_package": _(
        "The file is damaged or built in an unusual way. Save it from %(program)s as %(ending)s and upload that."
    ),
}
_PROGRAMS = {
    ("Word", ".docx"): "doc docx docm dot dotx dotm wbk odt rtf",
    ("Excel", ".xlsx"): "xls xlsx xlsm xlsb xlt xltx xltm xlam xla xlm xll ods csv tsv",
    ("PowerPoint", ".pptx"): "ppt pptx pptm pot potx potm pps ppsx ppsm ppam ppa sldm odp",
}
_PROGRAM_OF = {extension: program for program, names in _PROGRAMS.items() for extension in names.split()}


def for_program(sentence, extension):
    """`sentence` with its %(program)s and %(ending)s; None when no Office program makes files of this extension."""
    if extension not in _PROGRAM_OF:
        return None
    program, ending = _PROGRAM_OF[extension]
    return sentence % {"program": program, "ending": ending}


class FileTypeRefused(Refused):
    """415: the folder does not take files of this kind, or the file is not what its name says.

    `code` is a key of SENTENCES, which gives the message unless the caller passes one.
    """

    def __init__(self, code, message=None):
        super().__init__(415, code, SENTENCES[code] if message is None else message)

    def advised(self, extension):
        """This refusal, with the sentence for the program that makes files of this extension, if there is one."""
        if self.code in BY_PROGRAM and self.message is SENTENCES[self.code]:
            self.message = for_program(BY_PROGRAM[self.code], extension) or self.message
        return self
