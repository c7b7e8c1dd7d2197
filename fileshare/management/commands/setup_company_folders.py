"""Create the folders of companies."""

from django.conf import settings
from django.core.management import BaseCommand, CommandError
from django.http import Http404

from accounts.models import Company
from config.errors import Refused
from config.outside import statistics
from config.sizes import parse_size
from fileshare import company_folders

MOST_BYTES = 2**60


class Command(BaseCommand):
    """Calls fileshare.company_folders. Ends with 1 when a company was not found; the others get their folders."""

    help = "Make the folder of companies with its subfolders. Run again: what is there stays."

    def add_arguments(self, parser):
        parser.add_argument("companies", nargs="*", metavar="company", help="the slug or the name of a company")
        parser.add_argument("--all", action="store_true", dest="everyone", help="every company")
        parser.add_argument(
            "--subfolders",
            metavar="A,B",
            default=",".join(settings.COMPANY_SUBFOLDERS),
            help="their names, with commas between them; '' for none (default: %(default)s)",
        )
        parser.add_argument(
            "--technical",
            action="store_const",
            dest="subfolders",
            const=",".join(company_folders.TECHNICAL),
            help=f"the same as --subfolders {','.join(company_folders.TECHNICAL)!r}",
        )
        parser.add_argument(
            "--may-send",
            action="store_true",
            help="let the company's people upload to its folder, and not only download from it",
        )
        parser.add_argument("--quota", metavar="SIZE", help="of folders made now, as in 500 MB or 20 GB")

    def handle(self, *, companies, everyone, subfolders, quota, may_send, **options):
        if everyone == bool(companies):
            raise CommandError("Name companies, or say --all.")
        quota_bytes = None if quota is None else parse_size(quota)
        if quota is not None and not (quota_bytes is not None and 0 <= quota_bytes <= MOST_BYTES):
            raise CommandError("--quota is a size such as 500 MB or 20 GB.")
        names = company_folders.read_names(subfolders)
        wanted = [(company.slug, company) for company in Company.objects.order_by("name")] if everyone else None
        failed = 0
        for called, company in wanted or [(text, self._find(text)) for text in companies]:
            try:
                if company is None:
                    raise Http404
                done = company_folders.make(
                    by=None, company_id=company.pk, subfolders=names, quota_bytes=quota_bytes, may_send=may_send
                )
            except Http404:
                failed += 1
                self.stderr.write(f"{called}: there is no such company")
            except Refused as refusal:
                raise CommandError(refusal.message) from refusal
            else:
                self.stdout.write(f"{company.slug}: {self._told(done)}")
        if everyone:
            statistics.refresh()
        if failed:
            raise CommandError(f"{failed} of {len(companies)} companies were not found.")

    def _find(self, text):
        companies = Company.objects
        return companies.filter(slug=text).first() or companies.filter(name__iexact=text).first()

    def _told(self, done):
        parts = [f"folder {done.folder.slug} {'made' if done.is_new else 'is there'}"]
        for word, names in (("made", done.made), ("there before", done.there)):
            if names:
                parts.append(f"{word}: {', '.join(names)}")
        return "; ".join(parts)
