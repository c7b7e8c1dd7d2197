"""The addresses of the payment pages."""

from django.urls import path

from . import views

urlpatterns = [
    path("payments/", views.plan_list, name="plans"),
    path("payments/plans/<uuid:plan_id>/", views.pay, name="pay"),
    path("payments/history/", views.history, name="payments"),
    path("payments/all/", views.everybodys, name="all-payments"),
    path("payments/all/export.csv", views.export, name="payments-export"),
    path("payments/review/", views.review_queue, name="payments-review"),
    path("payments/revenue/", views.revenue, name="revenue"),
    path("payments/<uuid:transaction_id>/", views.payment, name="payment"),
    path("payments/<uuid:transaction_id>/state", views.state, name="payment-state"),
    path("payments/<uuid:transaction_id>/receipt", views.receipt, name="receipt"),
    path("payments/<uuid:transaction_id>/receipt.pdf", views.receipt_pdf, name="receipt-pdf"),
    path("payments/<uuid:transaction_id>/review", views.decide, name="payment-decide"),
]
