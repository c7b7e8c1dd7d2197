"""Companies: made, renamed and removed by a super."""

from django.db import IntegrityError, transaction
from django.utils.text import slugify
from django.utils.translation import gettext as _

from audit.log import record
from audit.models import Action
from config.access import get_visible
from config.errors import Conflict, Invalid

from .models import Company
from .roles import assert_super


@transaction.atomic
def save_company(*, by, company_id=None, name=None, slug=None):
    """Make a company, or change the one of `company_id`. Returns it.

    Raises PermissionDenied unless `by` is a super, Http404, Invalid (400), or Conflict (409) when the
    name or slug is taken.
    """
    assert_super(by)
    company = Company() if company_id is None else get_visible(company_id, Company.objects.select_for_update())
    before = {} if company_id is None else _facts(company)
    company.name = company.name if name is None else name
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
    """Delete a company that has neither people nor folders.

    Raises PermissionDenied unless `by` is a super, Http404 or Conflict (409).
    """
    assert_super(by)
    company = get_visible(company_id, Company.objects.select_for_update())
    # Folders point here from an app above this one; the reverse relation asks without importing it.
    if company.people.exists() or company.folders.exists():
        raise Conflict(_("The company still has people or folders."), code="not_empty")
    record(Action.COMPANY_CHANGED, user=by, target=company, before=_facts(company), deleted=True)
    company.delete()


def _facts(company):
    return {"name": company.name, "slug": company.slug}
