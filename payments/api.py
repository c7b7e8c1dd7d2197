"""Payments for scripts, and the door M-Pesa calls at."""

import hmac
import ipaddress

from django.conf import settings
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.response import Response
from rest_framework.views import APIView

from config.access import get_visible
from config.errors import Refused
from config.pagination import answer, keyset_page, offset_page, page_of
from config.schema import OFFSET_PARAMETERS, PAGE_PARAMETERS
from config.serializers import InputSerializer, read
from config.throttling import is_used_up, network_of, throttle

from . import callback_records, transactions
from .models import MAX_CALLBACK_BYTES, Plan, Transaction

ACCEPTED = {"ResultCode": 0, "ResultDesc": "Accepted"}
SECRET_HEADER = "X-Callback-Secret"  # noqa: S105 - its name
# Whoever has not the secret fills no table with their calls.
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
    """A payment; `plan` as it was when it was bought."""

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
    @extend_schema(parameters=OFFSET_PARAMETERS, responses=page_of(PlanSerializer))
    def get(self, request):
        """The storage plans on sale, cheapest first."""
        return answer(offset_page(Plan.objects.on_sale(), request=request), PlanSerializer)


class StkPush(APIView):
    @extend_schema(request=StkPushInput, responses={202: StkPushAnswer})
    def post(self, request):
        """Ask a phone to pay for a plan. 409 `payment_pending` names the payment that is under way already."""
        throttle(request, "stkpush")
        row = transactions.start(user=request.user, **read(StkPushInput, request))
        if not row.customer_message:
            row.customer_message = _("If your phone asks for your M-Pesa PIN, enter it; we shall hear of it.")
        return Response(StkPushAnswer(row).data, status=202)


class Transactions(APIView):
    @extend_schema(parameters=PAGE_PARAMETERS, responses=page_of(TransactionSerializer))
    def get(self, request):
        """The caller's payments, newest first; a super's list holds everybody's."""
        rows = Transaction.objects.visible_to(request.user)
        return answer(keyset_page(rows, request=request, time_field="created_at"), TransactionSerializer)


class OneTransaction(APIView):
    @extend_schema(responses=TransactionSerializer)
    def get(self, request, transaction_id):
        """One payment, to see how it stands."""
        row = get_visible(transaction_id, Transaction.objects.visible_to(request.user))
        return Response(TransactionSerializer(row).data)


class Callback(APIView):
    """Where M-Pesa tells how a payment ended: at the address with the secret in it, or with the secret as a header.

    An authentic call is answered with 200 whatever it holds; any other with one and the same 400.
    """

    authentication_classes = []
    permission_classes = [AllowAny]

    @extend_schema(
        request=OpenApiTypes.OBJECT,
        responses=OpenApiTypes.OBJECT,
        parameters=[OpenApiParameter(SECRET_HEADER, OpenApiTypes.STR, OpenApiParameter.HEADER)],
    )
    def post(self, request, secret=""):
        """From Safaricom. Kept as it is and answered at once; it takes effect a moment later, and once."""
        address = request._request.client_address
        if is_authentic(request, secret or request.headers.get(SECRET_HEADER, "")):
            raw = _body(request._request, MAX_CALLBACK_BYTES + 1)
            if raw is not None:
                callback_records.receive_callback(raw=raw, reference=request.GET.get("ref", ""), address=address)
                return Response(ACCEPTED)
        elif _is_worth_keeping(address):
            callback_records.refuse_callback(raw=_body(request._request, REFUSED_BYTES) or b"", address=address)
        raise Refused(400, "callback_refused", _("This is not accepted here."))


def _body(request, most):
    """At most `most` bytes of the body; None for one whose end nobody can tell.

    Of a chunked one (no Content-Length) the server has to say where it ends.
    """
    chunked = "HTTP_TRANSFER_ENCODING" in request.META
    if chunked and not request.META.get("wsgi.input_terminated"):
        return None
    source = request.META["wsgi.input"] if chunked else request
    blocks, left = [], most
    try:
        while left and (block := source.read(left)):
            blocks.append(block)
            left -= len(block)
    except OSError:
        # Cut off on its way: whatever is asked again finds the end.
        return b""
    return b"".join(blocks)


def _is_worth_keeping(address):
    """Whether there is room for one more refused call: of its network, and of all of them. None while nobody counts."""
    limits = ((f"network:{network_of(address)}", REFUSALS_KEPT), ("all", REFUSALS_KEPT_OF_ALL))
    return not any(is_used_up("refused_callbacks", who, rate=rate, strict=False) for who, rate in limits)


def is_authentic(request, secret):
    """Whether a call bears the secret and comes from an address that may call.

    Where payments are switched off too: what was under way then is heard of still.
    """
    known = settings.MPESA_CALLBACK_SECRET.encode()
    if not known:
        return False
    # Both are looked at, so that an answer's time tells nothing of either.
    right = hmac.compare_digest(secret.encode("utf-8", "replace"), known)
    return _may_call(request._request.client_address) and right


def _may_call(address):
    if not settings.MPESA_CALLBACK_ADDRESSES:
        return True
    try:
        caller = ipaddress.ip_address(address)
    except ValueError:
        return False
    caller = getattr(caller, "ipv4_mapped", None) or caller
    return any(caller in ipaddress.ip_network(network) for network in settings.MPESA_CALLBACK_ADDRESSES)
