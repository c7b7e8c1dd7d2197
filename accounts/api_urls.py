"""The API's addresses for accounts, notices and the administration of people."""

from django.urls import path

from .api import administration, api_tokens, auth, notifications, second_factor, sessions, users

urlpatterns = [
    path("auth/signup", auth.Signup.as_view(), name="api-signup"),
    path("auth/verify-email", auth.VerifyEmail.as_view(), name="api-verify-email"),
    path("auth/login", auth.Login.as_view(), name="api-login"),
    path("auth/login/second-factor", second_factor.SecondStep.as_view(), name="api-second-factor"),
    path("auth/refresh", auth.Refresh.as_view(), name="api-refresh"),
    path("auth/logout", auth.Logout.as_view(), name="api-logout"),
    path("auth/forgot-password", auth.ForgotPassword.as_view(), name="api-forgot-password"),
    path("auth/reset-password", auth.ResetPassword.as_view(), name="api-reset-password"),
    path("users/me", users.Me.as_view(), name="api-me"),
    path("users/me/avatar", users.Avatar.as_view(), name="api-avatar"),
    path("users/me/sessions", sessions.Sessions.as_view(), name="api-sessions"),
    path("users/me/sessions/<str:session_id>", sessions.OneSession.as_view(), name="api-session"),
    path("users/me/tokens", api_tokens.ApiTokens.as_view(), name="api-tokens"),
    path("users/me/tokens/<str:token_id>", api_tokens.OneApiToken.as_view(), name="api-token"),
    path("users/<str:user_id>", users.Person.as_view(), name="api-person"),
    path("notifications", notifications.Notifications.as_view(), name="api-notifications"),
    path("notifications/mark-read", notifications.MarkRead.as_view(), name="api-mark-read"),
    path("notifications/preferences", notifications.Preferences.as_view(), name="api-notification-preferences"),
    path("admin/roles", administration.Roles.as_view(), name="api-roles"),
    path("admin/roles/<str:role_id>", administration.OneRole.as_view(), name="api-role"),
    path("admin/permissions", administration.Permissions.as_view(), name="api-permissions"),
    path("admin/users", administration.Users.as_view(), name="api-users"),
    path("admin/users/<str:user_id>", administration.OneUser.as_view(), name="api-user"),
    path("admin/companies", administration.Companies.as_view(), name="api-companies"),
    path("admin/companies/<str:company_id>", administration.OneCompany.as_view(), name="api-company"),
]
