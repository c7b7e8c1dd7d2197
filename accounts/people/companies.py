"""Companies: a super makes, renames and deletes them."""

from django.db import IntegrityError, transaction
from django.db.models import ProtectedError
from django.utils.text import slugify
from django.utils.translation import gettext as _

from accounts.contributions.actions import Action
from accounts.models import Company
from audit.log import record
from config.access import get_visible
from config.errors import Conflict, Invalid
from config.plain_names import clean_title

from .roles import assert_super


class CompanyInUse(Conflict):
    """409: the company still has people, or rows of another app, such as folders."""

    def __init__(self):
        super().__init__(_("The company still has people, folders or permissions."), code="not_empty")


@transaction.atomic
def save_company(*, by, company_id=None, name=None, slug=None):
    """Make a company, or change the one of `company_id`. Returns it.

    Raises PermissionDenied unless `by` is a super, Http404, Invalid (400), or Conflict (409) when the
    name or slug is taken.
    """
    assert_super(by)
    company = Company() if company_id is None else get_visible(company_id, Company.objects.select_for_update())
    return _save(company, by, name, slug)


def make_company(*, by, name):
    """Make a company without a check of rights, in the caller's transaction. Returns it; raises as save_company."""
    return _save(Company(), by, name, None)


def _save(company, by, name, slug):
    before = {} if company._state.adding else _facts(company)
    company.name = company.name if name is None else clean_title(name)
    company.slug = slug or company.slug or slugify(company.name)[:100]
    if not company.slug:
        raise Invalid("slug", _("This name makes no slug; give one of letters and digits."))
    others = Company.objects.exclude(pk=company.pk)
    if others.filter(name__iexact=company.name).exists() or others.filter(slug=company.slug).exists():
        raise Conflict(_("A company of this name or slug is there already."), code="name_taken")
    try:
        with transaction.atomic():
            company.save()
    except IntegrityError:
        raise Conflict(_("A company of this name or slug is there already."), code="name_taken") from None
    record(Action.COMPANY_CHANGED, user=by, target=company, before=before, after=_facts(company))
    return company


@transaction.atomic
def delete_company(*, by, company_id):
    """Delete a company that has no people and no rows of other apps.

    Raises PermissionDenied unless `by` is a super, Http404 or CompanyInUse (409).
    """
    assert_super(by)
    company = get_visible(company_id, Company.objects.select_for_update())
    if company.people.exists():
        raise CompanyInUse
    record(Action.COMPANY_CHANGED, user=by, target=company, before=_facts(company), deleted=True)
    try:
        company.delete()
    except ProtectedError:
        # Rows of another app refer to the company.
        raise CompanyInUse from None


def _facts(company):
    return {"name": company.name, "slug": company.slug}
