"""Create companies, folders, users and real files for trying out the portal."""

import io
from datetime import timedelta

from django.conf import settings
from django.core.management import BaseCommand
from django.db import transaction
from django.utils import timezone

from accounts.models import Company, Role, User
from accounts.models.roles import CLIENT, OPS
from config.errors import Refused
from config.outside import statistics
from config.progress import Progress
from fileshare import folders
from fileshare.demo import office_files
from fileshare.incoming import completion, uploads
from fileshare.models import File, Folder, FolderPermission, PermissionType, Subfolder

PASSWORD = "try-the-portal"  # noqa: S105 - the demo prints it
SUPER = "super@demo.example"
OPS_USER = "ops@demo.example"
CLIENTS = {
    "client@demo.example": ("Wanjiru Kamau", None),
    "baraka@baobab.example": ("Otieno Baraka", "Baobab Logistics"),
    "achieng@savanna.example": ("Achieng Njeri", "Savanna Foods"),
}
COMPANIES = {"Baobab Logistics": "baobab-logistics", "Savanna Foods": "savanna-foods"}
SUBFOLDERS = {"Backups": "backups", "Contracts": "contracts", "Reports": "reports"}


class Command(BaseCommand):
    """Safe to repeat. The users and folders, and then the files, are created only when the demo has none yet."""

    help = "Make demo companies, folders, users and files, and print the log-ins."

    def handle(self, *args, **options):
        if not settings.SITE_IS_LOCAL:
            raise SystemExit("The demo's passwords are well known; it is for a portal on loopback only.")
        if not User.objects.filter(email=SUPER).exists():
            with transaction.atomic():
                self._people_and_folders()
        self._files()
        statistics.refresh()
        self.stdout.write(f"\nDemo log-ins, all with the password  {PASSWORD}")
        for email, text in self._logins():
            self.stdout.write(f"  {email:<26} {text}")

    def _logins(self):
        yield SUPER, "super: everything, and the administration"
        yield OPS_USER, "ops: uploads documents for clients"
        for email, (_name, company) in CLIENTS.items():
            yield email, f"client of {company}" if company else "client"

    def _people_and_folders(self):
        companies = {
            name: Company.objects.get_or_create(slug=slug, defaults={"name": name})[0]
            for name, slug in COMPANIES.items()
        }
        boss = User.objects.create_superuser(SUPER, PASSWORD, name="Sefu Mwangi")
        ops = self._person(OPS_USER, "Olive Atieno", OPS)
        for email, (name, company) in CLIENTS.items():
            self._person(email, name, CLIENT, companies.get(company))
        for name, company in companies.items():
            folder = folders.create_folder(
                user=boss,
                name=name,
                slug=company.slug,
                company_id=company.pk,
                description=f"Everything between {name} and us.",
            )
            for title, slug in SUBFOLDERS.items():
                Subfolder.objects.create(folder=folder, name=title, slug=slug)
            self._grant(boss, folder, PermissionType.UPLOAD, role=Role.objects.get(name=OPS))
            self._grant(boss, folder, PermissionType.DOWNLOAD, role=Role.objects.get(name=OPS))
        templates = folders.create_folder(
            user=boss,
            name="Templates",
            slug="templates",
            description="Forms and letterheads for the team.",
            retention_days=None,
        )
        self._grant(boss, templates, PermissionType.DOWNLOAD, role=Role.objects.get(name=OPS))
        self._grant(boss, templates, PermissionType.UPLOAD, user=ops)

    def _person(self, email, name, role, company=None):
        user = User.objects.create_user(email, PASSWORD, name=name, company=company, email_verified_at=timezone.now())
        user.groups.add(Role.objects.get(name=role))
        return user

    def _grant(self, boss, folder, permission_type, **holder):
        FolderPermission.objects.create(folder=folder, permission_type=permission_type, granted_by=boss, **holder)

    def _files(self):
        """Upload the files through the checks of any upload. Do nothing when the demo's uploader has files already."""
        uploader = User.objects.get(email=OPS_USER)
        boss = User.objects.get(email=SUPER)
        if File.objects.filter(uploaded_by=uploader).exists():
            return
        all_documents = list(documents())
        with Progress(self.stderr, "Demo files", total=len(all_documents)) as progress:
            for number, (slug, subfolder_slug, filename, content) in enumerate(all_documents):
                folder = Folder.objects.get(slug=slug)
                subfolder = folder.subfolders.get(slug=subfolder_slug) if subfolder_slug else None
                user = uploader if Folder.objects.uploadable_by(uploader).filter(pk=folder.pk).exists() else boss
                try:
                    file = completion.receive(
                        user=user,
                        place=uploads.Place(folder, subfolder),
                        filename=filename,
                        content_type="",
                        stream=io.BytesIO(content),
                        size_bytes=len(content),
                    )
                except Refused as refusal:
                    self.stderr.write(f"{filename} was refused: {refusal.message}")
                    continue
                # Set earlier times, as if the files had been uploaded over several days.
                ago = timedelta(hours=7 * (20 - number))
                File.objects.filter(pk=file.pk).update(
                    uploaded_at=file.uploaded_at - ago, expires_at=file.expires_at and file.expires_at - ago
                )
                progress.advance()


def documents():
    """Yield (folder, subfolder or None, filename, bytes) of the demo's files, oldest first."""
    ledger = [["Month", "Shipments", "Revenue KES"], ["August", 118, 2410000], ["September", 131, 2688000]]
    yield (
        "documents",
        None,
        "Welcome.docx",
        office_files.docx(
            "Welcome", ["Your documents are here.", "Each download link is made for you and opens for nobody else."]
        ),
    )
    yield (
        "documents",
        None,
        "Engagement letter.docx",
        office_files.docx("Engagement letter", ["Draft of the terms we work under."]),
    )
    yield (
        "documents",
        None,
        "Engagement letter.docx",
        office_files.docx("Engagement letter", ["The terms we work under.", "Fees are due within thirty days."]),
    )
    yield (
        "documents",
        None,
        "Fee schedule.xlsx",
        office_files.xlsx("Fees", [["Service", "KES"], ["Bookkeeping, monthly", 45000], ["Annual accounts", 180000]]),
    )
    yield (
        "documents",
        None,
        "How we work.pptx",
        office_files.pptx(
            "How we work", [("One place", ["All documents in one portal"]), ("One rule", ["You see what is yours"])]
        ),
    )
    yield "baobab-logistics", None, "Fleet overview.png", office_files.png()
    yield (
        "baobab-logistics",
        "reports",
        "Quarterly report.docx",
        office_files.docx("Quarterly report", ["Shipments rose by eleven per cent."]),
    )
    yield "baobab-logistics", "reports", "Ledger.xlsx", office_files.xlsx("Ledger", ledger)
    yield "baobab-logistics", "reports", "Ledger.csv", office_files.csv(ledger)
    yield (
        "baobab-logistics",
        "contracts",
        "Warehouse lease.docx",
        office_files.docx("Warehouse lease", ["Between the landlord and Baobab Logistics."]),
    )
    yield (
        "savanna-foods",
        "reports",
        "Harvest forecast.pptx",
        office_files.pptx(
            "Harvest forecast", [("This season", ["Maize up, beans steady"]), ("Next season", ["Plan for two silos"])]
        ),
    )
    yield (
        "savanna-foods",
        "reports",
        "Deliveries.csv",
        office_files.csv([["Day", "Crates"], ["Monday", 320], ["Tuesday", 295]]),
    )
    yield (
        "savanna-foods",
        "contracts",
        "Supply agreement.docx",
        office_files.docx("Supply agreement", ["Terms of supply for the coming year."]),
    )
    yield "templates", None, "Letterhead.docx", office_files.docx("Letterhead", ["Text begins here."])
    yield "templates", None, "Timesheet.xlsx", office_files.xlsx("Timesheet", [["Day", "Hours"], ["Monday", 8]])
