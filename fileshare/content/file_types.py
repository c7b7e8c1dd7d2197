"""The kinds of file that a folder takes, judged by the name and the declared type.

There are two policies: `office` takes only .docx, .xlsx and .pptx; `general` takes everything except a block-list of
dangerous kinds. The tables come first, the rules below them. `fileshare.content.inspection` checks the bytes.
"""

import re
from typing import NamedTuple

from django.utils.translation import gettext_lazy as _

from . import filenames, refusals
from .refusals import FileTypeRefused

OFFICE = "office"
GENERAL = "general"
UNKNOWN_TYPE = "application/octet-stream"


class FileType(NamedTuple):
    """A kind of file that the portal knows.

    `content_type` is what the portal stores, `kind` the word for the icon, `aliases` other types that browsers declare.
    """

    content_type: str
    kind: str
    aliases: frozenset = frozenset()


def _words(text):
    return frozenset(text.split())


def _known(content_type, kind, *aliases):
    return FileType(content_type, kind, frozenset(aliases))


_OOXML = "application/vnd.openxmlformats-officedocument."
_ODF = "application/vnd.oasis.opendocument."
_ZIP_ALIASES = ("application/x-zip-compressed", "application/x-zip", "multipart/x-zip", "application/x-compressed")
_JPEG = _known("image/jpeg", "image", "image/jpg", "image/pjpeg")
_TIFF = _known("image/tiff", "image", "image/tif", "image/x-tiff")
_TEXT = _known("text/plain", "text")
_MP4 = _known("video/mp4", "video", "video/x-m4v", "application/mp4")
_MPEG = _known("video/mpeg", "video", "video/mpg", "video/x-mpeg")
_OGG = _known("audio/ogg", "audio", "application/ogg", "audio/opus", "audio/vorbis", "video/ogg", "audio/x-opus+ogg")
_YAML = _known("application/yaml", "text", "text/yaml", "application/x-yaml", "text/x-yaml", "text/plain")
_MARKDOWN = _known("text/markdown", "text", "text/x-markdown", "text/plain")
_AIFF = _known("audio/aiff", "audio", "audio/x-aiff")

KNOWN_TYPES = {
    "docx": _known(_OOXML + "wordprocessingml.document", "document"),
    "xlsx": _known(_OOXML + "spreadsheetml.sheet", "sheet"),
    "pptx": _known(_OOXML + "presentationml.presentation", "slides"),
    "dotx": _known(_OOXML + "wordprocessingml.template", "document"),
    "xltx": _known(_OOXML + "spreadsheetml.template", "sheet"),
    "potx": _known(_OOXML + "presentationml.template", "slides"),
    "ppsx": _known(_OOXML + "presentationml.slideshow", "slides"),
    "doc": _known("application/msword", "document", "application/doc", "application/vnd.msword"),
    "xls": _known("application/vnd.ms-excel", "sheet", "application/msexcel", "application/x-msexcel"),
    "ppt": _known("application/vnd.ms-powerpoint", "slides", "application/mspowerpoint"),
    "odt": _known(_ODF + "text", "document"),
    "ods": _known(_ODF + "spreadsheet", "sheet"),
    "odp": _known(_ODF + "presentation", "slides"),
    "rtf": _known("application/rtf", "document", "text/rtf", "text/richtext", "application/msword"),
    "pdf": _known("application/pdf", "pdf", "application/x-pdf"),
    "epub": _known("application/epub+zip", "document"),
    "png": _known("image/png", "image", "image/x-png"),
    "jpg": _JPEG,
    "jpeg": _JPEG,
    "jpe": _JPEG,
    "jfif": _JPEG,
    "gif": _known("image/gif", "image"),
    "webp": _known("image/webp", "image"),
    "bmp": _known("image/bmp", "image", "image/x-ms-bmp", "image/x-bmp"),
    "tif": _TIFF,
    "tiff": _TIFF,
    "ico": _known("image/vnd.microsoft.icon", "image", "image/x-icon", "image/ico"),
    "avif": _known("image/avif", "image"),
    "heic": _known("image/heic", "image", "image/heif"),
    "heif": _known("image/heif", "image", "image/heic"),
    "svg": _known("image/svg+xml", "image", "image/svg"),
    "zip": _known("application/zip", "archive", *_ZIP_ALIASES),
    "7z": _known("application/x-7z-compressed", "archive", "application/x-compressed"),
    "rar": _known("application/vnd.rar", "archive", "application/x-rar-compressed", "application/x-rar"),
    "gz": _known("application/gzip", "archive", "application/x-gzip", "application/x-gzip-compressed"),
    "tgz": _known("application/gzip", "archive", "application/x-gzip", "application/x-compressed-tar"),
    "bz2": _known("application/x-bzip2", "archive", "application/bzip2", "application/x-bzip"),
    "xz": _known("application/x-xz", "archive"),
    "zst": _known("application/zstd", "archive", "application/x-zstd"),
    "tar": _known("application/x-tar", "archive", "application/tar"),
    "mp3": _known("audio/mpeg", "audio", "audio/mp3", "audio/x-mp3", "audio/x-mpeg", "audio/mpeg3"),
    "wav": _known("audio/wav", "audio", "audio/x-wav", "audio/wave", "audio/vnd.wave"),
    "flac": _known("audio/flac", "audio", "audio/x-flac"),
    "ogg": _OGG,
    "oga": _OGG,
    "opus": _OGG,
    "m4a": _known("audio/mp4", "audio", "audio/x-m4a", "audio/m4a", "audio/aac"),
    "aac": _known("audio/aac", "audio", "audio/x-aac", "audio/vnd.dlna.adts", "audio/aacp"),
    "aif": _AIFF,
    "aiff": _AIFF,
    "mid": _known("audio/midi", "audio", "audio/mid", "audio/x-midi"),
    "mp4": _MP4,
    "m4v": _MP4,
    "mov": _known("video/quicktime", "video"),
    "avi": _known("video/x-msvideo", "video", "video/avi", "video/msvideo", "video/vnd.avi"),
    "mkv": _known("video/x-matroska", "video", "video/matroska"),
    "webm": _known("video/webm", "video", "audio/webm"),
    "ogv": _known("video/ogg", "video", "application/ogg"),
    "mpg": _MPEG,
    "mpeg": _MPEG,
    "wmv": _known("video/x-ms-wmv", "video", "video/x-ms-asf"),
    "wma": _known("audio/x-ms-wma", "audio", "video/x-ms-asf"),
    "txt": _TEXT,
    "text": _TEXT,
    "log": _known("text/plain", "text", "text/x-log"),
    "ini": _TEXT,
    "md": _MARKDOWN,
    "markdown": _MARKDOWN,
    # On Windows with Office, browsers declare a .csv as an Excel sheet.
    "csv": _known("text/csv", "sheet", "application/vnd.ms-excel", "application/csv", "text/x-csv", "text/plain"),
    "tsv": _known("text/tab-separated-values", "sheet", "application/vnd.ms-excel", "text/tsv", "text/plain"),
    "json": _known("application/json", "text", "text/json", "text/plain"),
    "xml": _known("application/xml", "text", "text/xml", "text/plain"),
    "yaml": _YAML,
    "yml": _YAML,
}

PICTURES = frozenset({"jpg", "jpeg", "jpe", "jfif", "png", "gif", "webp", "bmp", "tif", "tiff", "avif", "heic", "heif"})
"""Kinds of picture that are often named as one another; the content decides (fileshare.content.inspection)."""
# Programs that look into a picture declare its own type whatever its name is.
_PICTURE_TYPES = frozenset().union(*({KNOWN_TYPES[name].content_type} | KNOWN_TYPES[name].aliases for name in PICTURES))

OFFICE_EXTENSIONS = ("docx", "xlsx", "pptx")

# The operating system runs these when a user opens them.
PROGRAMS = _words(
    "exe com scr pif cpl msc dll sys drv ocx vxd so dylib ko efi elf run ex_ jar war ear class jnlp swf xap xbap "
    "apk aab ipa app dmg pkg mpkg deb rpm snap flatpak flatpakref flatpakrepo appimage msi msp mst msix msixbundle "
    "appx appxbundle appinstaller application appref-ms gadget kext prefpane wasm air u3p"
)
# A shell, a script host or an interpreter runs these.
SCRIPTS = _words(
    "bat cmd btm sh bash zsh csh ksh fish command tool terminal action workflow scpt scptd applescript osx ps1 ps1xml "
    "ps2 ps2xml psc1 psc2 psd1 psm1 pssc cdxml msh msh1 msh2 mshxml msh1xml msh2xml vb vbe vbs vbscript wsc wsf wsh ws "
    "sct js jse mjs cjs jscript py pyc pyo pyw pyz pyzw pyd pl pm cgi rb php php3 php4 php5 php7 php8 phps phtml phar "
    "asp aspx asa ashx asmx ascx jsp jspx jspf cfm tcl ahk au3 nsh reg inf ins isp job grp rgs"
)
# A browser runs the scripts in these, or a viewer that behaves like one.
WEB_PAGES = _words("html htm xhtml xht xhtm shtml shtm stm dhtml hta htc htt mht mhtml maff xsl xslt svgz chm hlp")
# These open something other than themselves.
SHORTCUTS = _words(
    "lnk url website webloc inetloc fileloc desktop scf shb shs library-ms search-ms searchconnector-ms "
    "settingcontent-ms theme themepack deskthemepack diagcab diagcfg diagpkg iqy oqy rqy dqy slk"
)
# Office kinds that may hold macros. .xlsb is here because its name does not tell whether it holds any.
MACRO_KINDS = _words(
    "docm dotm xlsm xltm xlam xlsb pptm potm ppam ppsm sldm xla xlm xll wll ppa vsdm vstm vssm "
    "ade adp mda mdb mde accda accdb accde"
)
BLOCKED_EXTENSIONS = PROGRAMS | SCRIPTS | WEB_PAGES | SHORTCUTS | MACRO_KINDS

BLOCKED_TYPES = _words(
    """
    text/html application/xhtml+xml multipart/related application/x-mimearchive multipart/x-mixed-replace
    text/xsl application/xslt+xml text/x-component text/cache-manifest application/hta application/x-chm
    text/javascript application/javascript application/x-javascript text/x-javascript application/ecmascript
    text/ecmascript text/jscript text/livescript text/vbscript text/vbs application/x-vbs
    application/x-msdownload application/x-dosexec application/x-msdos-program application/x-ms-dos-executable
    application/vnd.microsoft.portable-executable application/exe application/x-exe application/x-winexe
    application/x-executable application/x-pie-executable application/x-sharedlib application/x-elf
    application/x-mach-binary application/wasm application/x-msi application/x-ms-installer application/x-ms-shortcut
    application/x-mswinurl application/x-desktop application/x-ms-application application/x-bat application/bat
    application/x-sh application/x-shellscript text/x-shellscript text/x-sh application/x-csh application/x-powershell
    text/x-powershell application/x-httpd-php application/x-php text/x-php text/php application/php
    application/java-archive application/x-java-archive application/java-vm application/x-java-vm
    application/x-java-applet application/x-java-jnlp-file application/vnd.android.package-archive
    application/x-debian-package application/vnd.debian.binary-package application/x-rpm
    application/x-redhat-package-manager application/x-apple-diskimage application/x-shockwave-flash
    application/x-python-code text/x-python application/x-perl text/x-perl application/x-ruby text/x-ruby
    """
)

ACCEPT = ",".join(
    [f".{name}" for name in OFFICE_EXTENSIONS] + [KNOWN_TYPES[name].content_type for name in OFFICE_EXTENSIONS]
)

_HINTS = {
    OFFICE: _("Word, Excel and PowerPoint files: .docx, .xlsx, .pptx."),
    GENERAL: _("Any kind of file except programs, scripts, web pages and Office files with macros."),
}
_EXTRA_KINDS = {
    "document": ("pages", "wpd"),
    "sheet": ("numbers",),
    "slides": ("key", "pps"),
    "image": ("psd", "raw", "cr2", "nef", "dng", "eps", "ai"),
    "text": ("cfg", "conf", "toml", "tex", "srt", "vtt"),
    "archive": ("iso", "lz", "lzma", "cab"),
    "audio": ("amr", "ape"),
    "video": ("3gp", "flv", "ts", "m2ts"),
}
_KINDS = {name: known.kind for name, known in KNOWN_TYPES.items()}
_KINDS |= {name: kind for kind, names in _EXTRA_KINDS.items() for name in names}
_CHECKED_TYPES = frozenset().union(*({known.content_type} | known.aliases for known in KNOWN_TYPES.values()))
_MIME = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}")


def check_extension(policy, filename):
    """Return the extension of `filename` (lower case, no dot) when `policy` takes it.

    The last extension decides: `invoice.pdf.exe` is an exe. So does that of the name in ASCII, which old clients save:
    `a.ｅｘｅ` in full-width letters is an exe too. Raises FileTypeRefused `extension_not_allowed` (office) or
    `extension_blocked` (general).
    """
    name = filenames.clean(filename)
    extension = filenames.extension(name)
    if policy == OFFICE:
        if extension not in OFFICE_EXTENSIONS:
            raise FileTypeRefused("extension_not_allowed").advised(extension)
    elif policy == GENERAL:
        if blocked := {extension, filenames.extension(filenames.ascii_name(name))} & BLOCKED_EXTENSIONS:
            raise FileTypeRefused("extension_blocked", _blocked_sentence(min(blocked)))
    else:
        raise ValueError(f"unknown type policy: {policy!r}")
    return extension


def check_declared(policy, filename, content_type):
    """Return the content type to store for a file named `filename` that the client declares as `content_type`.

    A known extension gets its one canonical type. The declared type must be that type, one of its aliases, empty or
    `application/octet-stream`; a picture's may be that of each of PICTURES. With an unknown extension, a declared
    type text/plain, application/*, audio/*, video/*, font/* or model/* is kept. All others become
    application/octet-stream, and so do XML types and the types of known kinds, because no code would check that the
    content fits them.

    Raises FileTypeRefused: `extension_not_allowed`, `extension_blocked`,
    `content_type_blocked` (a dangerous type, with any name) or
    `content_type_mismatch` (type and name disagree, or the type is malformed).
    """
    extension = check_extension(policy, filename)
    declared = (content_type or "").partition(";")[0].strip().lower() or UNKNOWN_TYPE
    if declared in BLOCKED_TYPES or "macroenabled" in declared:
        raise FileTypeRefused("content_type_blocked")
    if not _MIME.fullmatch(declared):
        raise FileTypeRefused("content_type_mismatch", _("The declared content type is not one."))
    known = KNOWN_TYPES.get(extension)
    if known is None:
        return declared if _may_keep(declared) else UNKNOWN_TYPE
    allowed = {known.content_type, UNKNOWN_TYPE} | known.aliases
    if declared not in (allowed | _PICTURE_TYPES if extension in PICTURES else allowed):
        raise FileTypeRefused("content_type_mismatch")
    return known.content_type


def hint(policy):
    """A sentence for users that says what the policy takes. It is translated when it is shown."""
    return _HINTS[policy]


def kind(filename):
    """The word for the icon: document, sheet, slides, image, pdf, text, archive, audio, video or other."""
    return _KINDS.get(filenames.extension(filename), "other")


def endings_of(word):
    """The extensions of a kind (a word that `kind` returns) or of a content type; an empty list for any other word."""
    return [ending for ending, of_kind in _KINDS.items() if of_kind == word] or [
        ending for ending, known in KNOWN_TYPES.items() if word == known.content_type or word in known.aliases
    ]


def endings_named(word):
    """The extensions that a word of a search names: those of `endings_of`, or of the last part of a content type.

    `word` is folded. `plain` is the last part of text/plain.
    """
    return endings_of(word) or [
        ending for ending, known in KNOWN_TYPES.items() if word == known.content_type.partition("/")[2]
    ]


def _blocked_sentence(extension):
    """What to do about a file of a blocked kind; None when there is nothing better than the general sentence."""
    if extension in MACRO_KINDS:
        return refusals.for_program(refusals.MACRO_KIND, extension)
    return refusals.WEB_PAGE if extension in WEB_PAGES else None


def _may_keep(declared):
    if declared == "text/plain":
        return True
    if declared in _CHECKED_TYPES or declared.endswith(("xml", "+zip")):
        return False
    return declared.partition("/")[0] in ("application", "audio", "video", "font", "model")
