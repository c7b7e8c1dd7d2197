"""Collected static files. Their names hold a hash, so browsers may cache them for ever."""

import re

from django.core.files.base import ContentFile
from whitenoise.storage import CompressedManifestStaticFilesStorage

from . import bundles

IN_A_COMMENT = re.compile(r"\s*(//|/?\*)")


class ManifestStorage(CompressedManifestStaticFilesStorage):
    """Also rewrites the imports between our JavaScript modules."""

    support_js_module_import_aggregation = True

    def post_process(self, paths, dry_run=False, **options):
        """Adds the common style sheet and script, then does with all files what WhiteNoise does."""

        def read(name):
            storage, path = paths[name]
            with storage.open(path) as file:
                return file.read().decode()

        styles = [name for name in paths if name.startswith("css/")]
        texts = {bundles.STYLES: bundles.style_sheet(read, styles), bundles.SCRIPT: bundles.script(read)}
        for name, text in texts.items():
            if not dry_run:
                self.delete(name)
                self.save(name, ContentFile(text.encode()))
            paths[name] = self, name
        yield from super().post_process(paths, dry_run=dry_run, **options)

    def url_converter(self, name, hashed_files, template=None):
        """Django's converter, but leaves comments alone.

        A type such as `{import("./ticket.js").Ticket}` in a comment loads nothing. If it counted as an import, two
        modules that name each other's types would depend on each other's hash, and no hash would fit.
        """
        convert = super().url_converter(name, hashed_files, template)

        def convert_code(match):
            line = match.string[match.string.rfind("\n", 0, match.start()) + 1 : match.start()]
            return match["matched"] if name.endswith(".js") and IN_A_COMMENT.match(line) else convert(match)

        return convert_code
