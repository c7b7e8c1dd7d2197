"""The API's addresses of payments."""

from django.urls import path

from . import api

urlpatterns = [
    path("mpesa/plans", api.Plans.as_view(), name="api-plans"),
    path("mpesa/stkpush", api.StkPush.as_view(), name="api-stkpush"),
    path("mpesa/transactions", api.Transactions.as_view(), name="api-payments"),
    path("mpesa/transactions/<str:transaction_id>", api.OneTransaction.as_view(), name="api-payment"),
    path("mpesa/callback", api.Callback.as_view(), name="api-payment-callback-header"),
    # The address for M-Pesa's callbacks. Daraja refuses an address that contains its name.
    path("payments/cb/<str:secret>", api.Callback.as_view(), name="api-payment-callback"),
]
