"""Payments in the API, and the address of M-Pesa's callbacks."""

from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.response import Response
from rest_framework.views import APIView

from config.access import get_visible
from config.api.pagination import answer, keyset_page, offset_page, page_of
from config.api.schema import OFFSET_PARAMETERS, PAGE_PARAMETERS
from config.api.serializers import InputSerializer, read
from config.errors import Refused
from config.http.throttling import is_used_up, network_of, throttle

from . import transactions
from .contributions.scopes import PAYMENTS
from .models import MAX_CALLBACK_BYTES, Plan, Transaction
from .mpesa import callback_records, callbacks

ACCEPTED = {"ResultCode": 0, "ResultDesc": "Accepted"}
SECRET_HEADER = "X-Callback-Secret"  # noqa: S105 - the header's name
# Limits on how many refused calls are stored: callers without the secret must not fill the table.
REFUSALS_KEPT = "20/m"
REFUSALS_KEPT_OF_ALL = "200/h"
REFUSED_BYTES = 1024


class PlanSerializer(serializers.ModelSerializer):
    currency = serializers.CharField(read_only=True)

    class Meta:
        model = Plan
        fields = ["id", "name", "amount", "currency", "extra_bytes", "days"]


class PlanNameSerializer(serializers.Serializer):
    id = serializers.UUIDField(source="plan_id")
    name = serializers.CharField(source="plan_name")
    extra_bytes = serializers.IntegerField()
    days = serializers.IntegerField()


class TransactionSerializer(serializers.ModelSerializer):
    """A payment, with its `plan` as it was at the time of purchase."""

    plan = PlanNameSerializer(source="*", read_only=True)
    status = serializers.ChoiceField(
        ["pending", "paid", "failed", "cancelled", "timed_out", "needs_review"], source="public_status", read_only=True
    )

    class Meta:
        model = Transaction
        fields = [
            "id",
            "plan",
            "amount",
            "phone_number",
            "status",
            "merchant_request_id",
            "checkout_request_id",
            "result_code",
            "result_desc",
            "receipt_number",
            "created_at",
            "updated_at",
        ]


class StkPushInput(InputSerializer):
    phone_number = serializers.CharField(max_length=40)
    plan_id = serializers.UUIDField()
    folder_id = serializers.UUIDField(required=False, allow_null=True)


class StkPushAnswer(serializers.Serializer):
    id = serializers.UUIDField()
    checkout_request_id = serializers.CharField(help_text="Empty when M-Pesa's answer got lost; it is found out later.")
    status = serializers.CharField(source="public_status")
    customer_message = serializers.CharField()


class Plans(APIView):
    token_scopes = PAYMENTS

    @extend_schema(parameters=OFFSET_PARAMETERS, responses=page_of(PlanSerializer))
    def get(self, request):
        """The storage plans on sale, cheapest first."""
        return answer(offset_page(Plan.objects.on_sale(), request=request), PlanSerializer)


class StkPush(APIView):
    token_scopes = PAYMENTS

    @extend_schema(request=StkPushInput, responses={202: StkPushAnswer})
    def post(self, request):
        """Ask a phone to pay for a plan. 409 `payment_pending` names the payment that is under way already."""
        throttle(request, "stkpush")
        row = transactions.start(user=request.user, **read(StkPushInput, request))
        if not row.customer_message:
            row.customer_message = _("If your phone asks for your M-Pesa PIN, enter it; we shall hear of it.")
        return Response(StkPushAnswer(row).data, status=202)


class Transactions(APIView):
    token_scopes = PAYMENTS

    @extend_schema(parameters=PAGE_PARAMETERS, responses=page_of(TransactionSerializer))
    def get(self, request):
        """The caller's payments, newest first; a super gets the payments of all users."""
        rows = Transaction.objects.visible_to(request.user)
        return answer(keyset_page(rows, request=request, time_field="created_at"), TransactionSerializer)


class OneTransaction(APIView):
    token_scopes = PAYMENTS

    @extend_schema(responses=TransactionSerializer)
    def get(self, request, transaction_id):
        """One payment and its status."""
        row = get_visible(transaction_id, Transaction.objects.visible_to(request.user))
        return Response(TransactionSerializer(row).data)


class Callback(APIView):
    """M-Pesa's callbacks about payments. The secret is in the address or in a header.

    An authentic call gets 200 whatever it holds; any other call gets the same 400.
    """

    authentication_classes = []
    permission_classes = [AllowAny]
    # The answer does not depend on the length: the view reads only the beginning of a body.
    body_limit = None

    @extend_schema(
        request=OpenApiTypes.OBJECT,
        responses=OpenApiTypes.OBJECT,
        parameters=[OpenApiParameter(SECRET_HEADER, OpenApiTypes.STR, OpenApiParameter.HEADER)],
    )
    def post(self, request, secret=""):
        """Take a callback of M-Pesa.

        The portal stores the call, answers at once, and processes it once, a moment later.
        """
        address = request._request.client_address
        if callbacks.is_authentic(secret=secret or request.headers.get(SECRET_HEADER, ""), address=address):
            raw = callbacks.read_body(request._request, MAX_CALLBACK_BYTES + 1)
            if raw is not None:
                callback_records.receive_callback(raw=raw, reference=request.GET.get("ref", ""), address=address)
                return Response(ACCEPTED)
        elif _is_worth_keeping(address):
            callback_records.refuse_callback(
                raw=callbacks.read_body(request._request, REFUSED_BYTES) or b"", address=address
            )
        raise Refused(400, "callback_refused", _("This is not accepted here."))


def _is_worth_keeping(address):
    """True when one more refused call may be stored: by the limits of its network and of all. False without a cache."""
    limits = ((f"network:{network_of(address)}", REFUSALS_KEPT), ("all", REFUSALS_KEPT_OF_ALL))
    return not any(is_used_up("refused_callbacks", who, rate=rate, strict=False) for who, rate in limits)
