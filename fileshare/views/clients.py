"""The pages of the clients desk, for the role ops and supers."""

from django.contrib import messages
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from config.api.pagination import offset_page
from config.errors import Refused
from config.forms import attempt
from config.http.redirects import safe_path
from config.http.throttling import throttle
from fileshare.desk import clients, ops

from ..forms.clients import ClientSearchForm, NewClientForm, PeopleForm
from .ops import ops_only

PAGE = 50
PEOPLE_SHOWN = 20


@ops_only
@require_safe
def client_list(request):
    """Companies with what waits for them; a search finds people too."""
    form = ClientSearchForm(request.GET)
    text, sort = form.text(), form.sort()
    page = offset_page(clients.companies_of(request.user, text=text, sort=sort), request=request, default_limit=PAGE)
    page.results = clients.rows_of(page.results, user=request.user)
    people = list(clients.people_of(request.user, text=text)[:PEOPLE_SHOWN]) if text else []
    failed = clients.failed_letters(people)
    context = {
        "form": form,
        "page": page,
        "people": people,
        "failed": failed,
        "text": text,
        "sort": sort,
        "days": ops.DAYS,
    }
    return render(request, "fileshare/clients.html", context)


@ops_only
@require_http_methods(["GET", "HEAD", "POST"])
def new_client(request):
    """The form that makes a company with its folder and invites its people."""
    form, status = _form(NewClientForm, request), 200
    if form.is_bound:
        status = 400
        if form.is_valid():
            throttle(request, "invitations", times=len(form.cleaned_data["people"]))
            done, made = attempt(form, clients.make_client, user=request.user, **form.facts())
            if done:
                messages.success(request, _told(made))
                return redirect("client", made.company.pk)
            status = made.status
    return render(request, "fileshare/client_new.html", {"form": form}, status=status)


def _form(form_class, request):
    return form_class(request.POST, request.FILES) if request.method == "POST" else form_class()


def _told(made):
    words = _("%(company)s has its folder.") % {"company": made.company.name}
    return f"{words} {_told_of(made.invited)}" if made.invited else words


def _told_of(invited):
    count = len(invited)
    return ngettext("%(n)d invitation is on its way.", "%(n)d invitations are on their way.", count) % {"n": count}


@ops_only
@require_http_methods(["GET", "HEAD", "POST"])
def client(request, company_id):
    """One company: its folders and people. A POST invites more people."""
    company = clients.company_of(request.user, company_id)
    form, status = _form(PeopleForm, request), 200
    if form.is_bound:
        status = 400
        if form.is_valid():
            throttle(request, "invitations", times=len(form.cleaned_data["people"]))
            done, invited = attempt(form, clients.add_people, user=request.user, company_id=company.pk, **form.facts())
            if done:
                messages.success(request, _told_of(invited))
                return redirect("client", company.pk)
            status = invited.status
    (row,) = clients.rows_of([company], user=request.user)
    page = offset_page(clients.people_of(request.user, company=company), request=request, default_limit=PAGE)
    waiting, _is_cut = ops.waiting(page.results, user=request.user)
    missing = {waits.user.pk: waits.missing for waits in waiting}
    for person in page.results:
        person.missing = missing[person.pk]
    folders = ops.shared_folders(request.user).filter(company=company).with_quota().order_by("name", "pk")
    context = {
        "row": row,
        "page": page,
        "folders": folders,
        "form": form,
        "failed": clients.failed_letters(page.results),
        "days": ops.DAYS,
    }
    return render(request, "fileshare/client.html", context, status=status)


@ops_only
@require_safe
def person(request, person_id):
    """One client: what they may use and why, and what they did."""
    found = clients.person_of(request.user, person_id)
    context = {
        "person": found,
        "failed": clients.failed_letters([found]),
        "rights": clients.rights_of(request.user, found),
        "events": clients.activity_of(request.user, found),
        "days": ops.DAYS,
    }
    return render(request, "fileshare/client_person.html", context)


@ops_only
@require_POST
def invite_again(request, person_id):
    """Mail a new invitation."""
    # Few a person: an invitation is a letter to somebody who did not ask for it.
    throttle(request, "invitation_again", everybody=str(person_id))
    found = _attempt(request, clients.invite_again, person_id)
    if found is not None:
        messages.success(request, _("A new invitation to %(email)s is on its way.") % {"email": found.email})
    return _back(request, person_id)


@ops_only
@require_POST
def withdraw(request, person_id):
    """Withdraw an invitation."""
    found = clients.person_of(request.user, person_id)
    email = _attempt(request, clients.withdraw, person_id)
    if email is None:
        return _back(request, person_id)
    messages.success(request, _("The invitation of %(email)s was withdrawn.") % {"email": email})
    return redirect("client", found.company_id)


@ops_only
@require_POST
def take_access(request, person_id):
    """Take a client's access."""
    found = _attempt(request, clients.switch, person_id, is_active=False)
    if found is not None:
        messages.success(request, _("%(name)s can no longer log in.") % {"name": found.get_full_name()})
    return _back(request, person_id)


@ops_only
@require_POST
def give_access(request, person_id):
    """Give a client's access back."""
    found = _attempt(request, clients.switch, person_id, is_active=True)
    if found is not None:
        messages.success(request, _("%(name)s can log in again.") % {"name": found.get_full_name()})
    return _back(request, person_id)


def _attempt(request, operation, person_id, **facts):
    """What the operation returns; None after a refusal, which is then a message."""
    try:
        return operation(user=request.user, person_id=person_id, **facts)
    except Refused as refusal:
        if refusal.status in (429, 503):
            raise
        messages.error(request, refusal.message)


def _back(request, person_id):
    path = safe_path(request, request.POST.get("back", ""))
    return redirect(path) if path else redirect("client-person", person_id)
