"""Static files of a built image: hashed names, so that a browser may keep them for ever."""

import re

from whitenoise.storage import CompressedManifestStaticFilesStorage

IN_A_COMMENT = re.compile(r"\s*(//|/?\*)")


class ManifestStorage(CompressedManifestStaticFilesStorage):
    """Rewrites the imports between our JavaScript modules too."""

    support_js_module_import_aggregation = True

    def url_converter(self, name, hashed_files, template=None):
        """Django's, but comments stay as they are.

        A type such as `{import("./ticket.js").Ticket}` loads nothing. Taken for an import, two modules that
        name each other's types would have no hash that fits both.
        """
        convert = super().url_converter(name, hashed_files, template)

        def convert_code(match):
            line = match.string[match.string.rfind("\n", 0, match.start()) + 1 : match.start()]
            return match["matched"] if name.endswith(".js") and IN_A_COMMENT.match(line) else convert(match)

        return convert_code
