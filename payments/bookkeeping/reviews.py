"""Payments in review: a super credits or rejects each."""

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.people.roles import assert_super
from audit.log import record
from config.access import get_visible
from config.errors import Conflict, Invalid
from fileshare import folders
from payments import notices, settling
from payments.contributions.actions import Action
from payments.models import Status, Transaction


@transaction.atomic
def decide(*, user, transaction_id, approve, receipt_number=""):
    """Credit a payment in review, or reject it. Returns the Transaction.

    If its folder is gone, the payer's personal folder gets the space. Raises Http404 or PermissionDenied, Conflict
    (409) when it is no longer in review or folder and payer are gone, Invalid (400) for another payment's receipt.
    """
    locked = Transaction.objects.visible_to(user).select_for_update(of=("self",), no_key=True)
    row = get_visible(transaction_id, locked)
    assert_super(user)
    if not Transaction.objects.reviewable_by(user).filter(pk=row.pk).exists():
        raise Conflict(_("This payment waits for no decision."), code="not_in_review")
    reason = row.review_reason
    row.reviewed_by, row.reviewed_at = user, timezone.now()
    if approve:
        if row.folder_id is None:
            if row.payer is None:
                raise Conflict(_("Neither the folder nor its payer is there any more."), code="no_folder")
            row.folder = folders.personal_folder(row.payer)
            row.folder_name = row.folder.name
        receipt_number = receipt_number or row.receipt_number
        try:
            with transaction.atomic():
                settling.pay(
                    row,
                    receipt_number=receipt_number,
                    code=row.result_code,
                    words=row.result_desc,
                    user=user,
                )
        except IntegrityError:
            if not settling.is_taken(receipt_number, row):
                raise
            raise Invalid("receipt_number", _("Another payment has this receipt.")) from None
    else:
        row.status, row.review_reason = Status.FAILED, ""
        row.save()
        settling.record_settled(row, user=user)
        notices.notify_payer(row)
    record(
        Action.PAYMENT_REVIEWED,
        user=user,
        target=row,
        folder=row.folder,
        decision="approved" if approve else "rejected",
        reason=reason,
        amount=row.amount,
        receipt=row.receipt_number,
    )
    return row
