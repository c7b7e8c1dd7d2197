"""Races of two calls about notices, users, roles, closed accounts and the log."""

from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from accounts.models import Notification, Role, Session, User
from accounts.notices import digests, mail, mailed_links, notifications, preferences
from accounts.people import avatars, companies, invitations, profiles, registration, roles
from accounts.privacy import subject_rights
from audit import chain
from audit.models import ChainHead
from fileshare import folders
from tests.factories import PASSWORD, CompanyFactory, UserFactory
from tests.guards.cases import loses, passes_by, waits
from tests.guards.rows import EARLY, a_super, complete, text

NEW_PASSWORD = f"new {PASSWORD}"


# --- Notices ----------------------------------------------------------------------------------------


def waiting_notice():
    notice = complete(Notification, type="file_expiring", for_digest=True, about="x")
    return notice.user, lambda: digests._send(notice.user_id, timezone.now() + timedelta(hours=1))


@passes_by("accounts.notices.digests._send", True, False)
def one_daily_letter():
    _user, send = waiting_notice()
    return send


@waits("accounts.notices.digests._send", True, "Notification", number=2)
def a_notice_told_anew_while_the_daily_letter_is_written():
    user, send = waiting_notice()
    return send, lambda: notifications.notify(user, "file_expiring", about="x")


@waits("accounts.notices.notifications._unread_about", 2, 3)
def counts_of_a_notice_add_up():
    user = UserFactory()
    notifications.notify(user, "request_answered", about="x", count=1)
    return lambda: notifications.notify(user, "request_answered", about="x", count=1).payload["count"]


@waits("accounts.notices.notifications._earlier", 1, 1)
def the_same_notice_to_many():
    user = UserFactory()
    notifications.notify(user, "folder_upload", about="x", count=1)
    facts = {"about": "x", "since": EARLY, "payload_of": lambda user, earlier: {"count": 1}}
    return lambda: notifications.notify_many([user], "folder_upload", **facts)


@loses("accounts.notices.notifications.mark_read", 0, 1)
def a_notice_read_twice():
    notice = complete(Notification)
    return lambda: notifications.mark_read(user=notice.user, everything=True)


@waits("accounts.notices.preferences.choose", "dict", "dict")
def a_choice_of_mail():
    user = UserFactory()
    return lambda: preferences.choose(user=user, wishes={"request_answered": "off"})


@loses("accounts.notices.mail._try", False, True)
def one_letter():
    letter = mail.post("password_changed", to="amina@example.org", user_id=str(UserFactory().pk))
    return lambda: mail.send(letter.pk)


# --- People -----------------------------------------------------------------------------------------


@waits("accounts.people.avatars._replace", "User", "User")
def a_picture():
    user = UserFactory()
    return lambda: avatars.remove_avatar(user=user)


@waits("accounts.people.companies.save_company", "Company", "Company")
def a_company_is_renamed():
    boss, company = a_super(), CompanyFactory()
    return lambda: companies.save_company(by=boss, company_id=company.pk, name=text())


@waits("accounts.people.companies.delete_company", None, "Http404")
def a_company_is_deleted():
    boss, company = a_super(), CompanyFactory()
    return lambda: companies.delete_company(by=boss, company_id=company.pk)


@waits("accounts.people.roles.company_of", "Folder", "CompanyInUse")
def a_company_gets_a_folder_and_is_deleted():
    boss, company = a_super(), CompanyFactory()
    return (
        lambda: folders.create_folder(user=boss, name=text(), company_id=company.pk),
        lambda: companies.delete_company(by=boss, company_id=company.pk),
    )


def unconfirmed():
    return UserFactory(is_active=False, email_verified_at=None)


@waits("accounts.people.invitations.make_invited", "User", "AddressTaken")
def an_invitation():
    boss, user = a_super(), unconfirmed()
    return lambda: invitations.invite(by=boss, email=user.email, name="Amina")


def invited():
    boss = a_super()
    return boss, invitations.invite(by=boss, email=f"{text()}@example.org", name="Amina")


@waits("accounts.people.invitations._invited", None, "Http404")
def an_invitation_is_withdrawn():
    boss, user = invited()
    return lambda: invitations.withdraw(by=boss, user_id=user.pk)


@waits("accounts.people.invitations.accept", "User", "LinkUsed")
def an_invitation_is_accepted():
    _boss, user = invited()
    token = mailed_links.make_link_token(user, mailed_links.INVITE)
    return lambda: invitations.accept(token=token, new_password=NEW_PASSWORD)


@waits("accounts.people.profiles.change", "User", "User")
def a_profile():
    user = UserFactory()
    return lambda: profiles.change(user=user, bio="Lawyer")


@waits("accounts.people.registration._sign_up", "str", "str")
def a_second_sign_up():
    user = unconfirmed()
    sign_up = {"email": user.email, "password": PASSWORD, "name": "Amina"}
    return lambda: type(registration.sign_up(**sign_up)).__name__


@waits("accounts.people.registration.verify_email", "User", "LinkUsed")
def an_address_is_verified():
    token = mailed_links.make_link_token(unconfirmed(), mailed_links.VERIFY)
    return lambda: registration.verify_email(token=token)


@waits("accounts.people.registration.confirm_email_change", "User", "LinkUsed")
def an_address_is_changed():
    token = mailed_links.make_link_token(UserFactory(pending_email=f"{text()}@example.org"), mailed_links.CHANGE_EMAIL)
    return lambda: registration.confirm_email_change(token=token)


@waits("accounts.people.registration.forget_unconfirmed", 1, 0)
def a_sign_up_is_forgotten():
    User.objects.filter(pk=unconfirmed().pk).update(updated_at=EARLY)
    return registration.forget_unconfirmed


# --- Roles ------------------------------------------------------------------------------------------


@waits("accounts.people.roles.roles_named", "User", None)
def a_role_is_given_and_deleted():
    boss, role = a_super(), Role.objects.create(name=text())
    return (
        lambda: invitations.invite(by=boss, email=f"{text()}@example.org", name="Amina", roles=[role.name]),
        lambda: roles.delete_role(by=boss, role_id=role.pk),
    )


@waits("accounts.people.roles.save_role", "Role", "Role")
def a_role_is_renamed():
    boss, role = a_super(), Role.objects.create(name=text())
    return lambda: roles.save_role(by=boss, role_id=role.pk, name=text())


@waits("accounts.people.roles.delete_role", None, "Http404")
def a_role_is_deleted():
    boss, role = a_super(), Role.objects.create(name=text())
    return lambda: roles.delete_role(by=boss, role_id=role.pk)


@waits("accounts.people.roles.change_user", "User", "PermissionDenied")
def two_supers_demote_each_other():
    one, other = a_super(), a_super()
    return (
        lambda: roles.change_user(by=one, user_id=other.pk, roles=["ops"]),
        lambda: roles.change_user(by=other, user_id=one.pk, roles=["ops"]),
    )


@waits("accounts.people.roles.change_user", "User", "User", number=2)
def a_user_is_changed():
    boss, user = a_super(), UserFactory()
    return (
        lambda: roles.change_user(by=boss, user_id=user.pk, name="Amina"),
        lambda: profiles.change(user=user, bio="Lawyer"),
    )


@waits("accounts.people.roles.log_out", None, "Conflict")
def somebody_is_logged_out():
    boss, session = a_super(), complete(Session, user=UserFactory())
    return lambda: roles.log_out(by=boss, user_id=session.user_id)


# --- The end of an account --------------------------------------------------------------------------


@waits("accounts.privacy.subject_rights._locked", "User", "Conflict")
def an_account_is_closed():
    a_super()
    user = UserFactory()
    return lambda: subject_rights.close_account(user=user, password=PASSWORD, email=user.email)


@waits("accounts.privacy.subject_rights._locked", "User", "User", number=2)
def an_account_is_changed_while_it_is_closed():
    user = UserFactory()
    return (
        lambda: subject_rights.close_account(user=user, password=PASSWORD, email=user.email),
        lambda: profiles.change(user=user, bio="Lawyer"),
    )


@waits("accounts.privacy.subject_rights.reopen_account", "User", "Conflict")
def an_account_is_opened_again():
    boss, user = a_super(), UserFactory(closed_at=timezone.now(), is_active=False)
    return lambda: subject_rights.reopen_account(by=boss, user_id=user.pk)


@waits("accounts.privacy.subject_rights._erase_account", True, False)
def an_account_is_erased():
    user = UserFactory(closed_at=EARLY, is_active=False)
    return lambda: subject_rights._erase_account(user)


# --- The log ----------------------------------------------------------------------------------------


@passes_by("audit.chain.held_head", True, False)
def rows_get_their_places(world):
    world.patch(chain._Last, "moment", float("inf"))  # no row is placed at its commit
    transaction.atomic(chain.held_head)()  # make the end of the chain: a missing row cannot be locked
    companies.save_company(by=a_super(), name=text())
    return lambda: chain._seal_batch() > 0


@waits("audit.chain.held_head", "ChainHead", "ChainHead", number=2)
def the_chain_begins():
    head = ChainHead.objects.get()
    ChainHead.objects.all().delete()

    def put_back():
        found = chain.held_head(wait=True)
        head.save(force_update=True)
        return found

    return transaction.atomic(chain.held_head), transaction.atomic(put_back)
