"""The roof: the one table that knows every app."""

from django.contrib import admin
from django.shortcuts import redirect
from django.urls import include, path, reverse
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _
from django.views.generic import RedirectView

from . import csp_reports, docs, health, metrics

admin.site.site_header = admin.site.site_title = _("Portal administration")
admin.site.index_title = _("Administration")


def admin_login(request):
    """There is one door: the portal's own log-in."""
    if request.user.is_authenticated:
        return redirect("home")
    return redirect(f"{reverse('login')}?{urlencode({'next': request.GET.get('next', reverse('admin:index'))})}")


urlpatterns = [
    path("admin/login/", admin_login),
    # Before the admin, whose own ways to log out and to change a password are taken over there.
    path("", include("accounts.urls")),
    path("admin/", admin.site.urls),
    path("api/schema", docs.Schema.as_view(), name="api-schema"),
    path("api/docs", docs.Docs.as_view(), name="api-docs"),
    path("api/", include("accounts.api_urls")),
    path("api/", include("fileshare.api_urls")),
    path("api/", include("audit.api_urls")),
    path("api/", include("payments.api_urls")),
    path("", include("fileshare.urls")),
    path("", include("payments.urls")),
    path("", include("audit.urls")),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", metrics.metrics, name="metrics"),
    path("csp-report", csp_reports.receive, name="csp-report"),
    path("favicon.ico", RedirectView.as_view(url="/static/favicon.svg")),
]

handler400 = "config.refusals.bad_request"
handler403 = "config.refusals.permission_denied"
handler404 = "config.refusals.not_found"
handler500 = "config.refusals.server_error"
