"""The URL table; the only one that includes every app."""

from django.conf import settings
from django.contrib import admin
from django.shortcuts import redirect
from django.urls import include, path, reverse
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _
from django.views.generic import RedirectView

from .api import docs
from .http import csp_reports
from .watch import health, metrics

admin.site.site_header = admin.site.site_title = _("Portal administration")
admin.site.index_title = _("Administration")


def admin_login(request):
    """Send the admin's log-in to the portal's own, the only one."""
    if request.user.is_authenticated:
        return redirect("home")
    return redirect(f"{reverse('login')}?{urlencode({'next': request.GET.get('next', reverse('admin:index'))})}")


urlpatterns = [
    # Django tries the patterns one after the other, so what programs call most stands first.
    path("", include("fileshare.store_urls")),
    path("api/", include("fileshare.api_urls")),
    path("api/", include("accounts.api_urls")),
    path("api/", include("audit.api_urls")),
    path("api/", include("payments.api_urls")),
    path("api/schema", docs.Schema.as_view(), name="api-schema"),
    path("api/docs", docs.Docs.as_view(), name="api-docs"),
    path("admin/login/", admin_login),
    # Before the admin: these addresses replace the admin's own log-out and change of password.
    path("", include("accounts.urls")),
    path("admin/", admin.site.urls),
    path("", include("fileshare.urls")),
    path("", include("fileshare.sender_urls")),
    path("", include("payments.urls")),
    path("", include("audit.urls")),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("state/", health.state, name="state"),
    path("metrics", metrics.metrics, name="metrics"),
    path("csp-report", csp_reports.receive, name="csp-report"),
    path("favicon.ico", RedirectView.as_view(url=f"{settings.STATIC_URL}favicon.svg")),
]

handler400 = "config.http.refusals.bad_request"
handler403 = "config.http.refusals.permission_denied"
handler404 = "config.http.refusals.not_found"
handler500 = "config.http.refusals.server_error"
