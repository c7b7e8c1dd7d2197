"""The pages about people."""

from django.urls import path
from django.views.generic import RedirectView

from .views import (
    api_tokens,
    auth,
    invitations,
    languages,
    live_count,
    notifications,
    privacy,
    profile,
    second_factor,
    security,
)

urlpatterns = [
    path("signup", auth.signup, name="signup"),
    path("login", auth.login, name="login"),
    path("login/second-factor", second_factor.login_second_step, name="login-second-factor"),
    path("login/passkey", second_factor.login_passkey, name="login-passkey"),
    path("passkeys/options/<slug:purpose>", second_factor.passkey_options, name="passkey-options"),
    path("logout", auth.logout, name="logout"),
    path("verify-email", auth.verify_email, name="verify-email"),
    path("change-email", auth.change_email, name="change-email"),
    path("forgot-password", auth.forgot_password, name="forgot-password"),
    path("reset-password", auth.reset_password, name="reset-password"),
    path("invitation", invitations.invitation, name="invitation"),
    path("language", languages.choose_language, name="language"),
    # Replace Django admin's own pages, which bypass our operations: they would not record the log-out or the change.
    path("admin/password_change/", RedirectView.as_view(pattern_name="profile-security")),
    path("admin/logout/", auth.logout),
    path("profile", profile.profile, name="profile"),
    path("profile/security", security.security, name="profile-security"),
    path("profile/security/confirm", security.confirm, name="security-confirm"),
    path("profile/security/second-factor", second_factor.choose, name="second-factor"),
    path("profile/security/authenticator", second_factor.authenticator, name="authenticator"),
    path("profile/security/authenticator/remove", second_factor.remove_authenticator, name="authenticator-remove"),
    path("profile/security/passkeys/add", second_factor.add_passkey, name="passkey-add"),
    path("profile/security/passkeys/<uuid:passkey_id>/remove", second_factor.remove_passkey, name="passkey-remove"),
    path("profile/security/recovery-codes", second_factor.new_recovery_codes, name="recovery-codes"),
    path("profile/security/sessions/end-others", security.end_other_sessions, name="sessions-end-others"),
    path("profile/security/sessions/<uuid:session_id>/end", security.end_session, name="session-end"),
    path("profile/tokens", api_tokens.tokens, name="profile-tokens"),
    path("profile/tokens/<uuid:token_id>/revoke", api_tokens.revoke, name="profile-token-revoke"),
    path("profile/data", privacy.own_data, name="profile-data"),
    path("profile/close", privacy.close_account, name="close-account"),
    path("avatars/<uuid:user_id>", profile.Avatar.as_view(), name="avatar"),
    path("profile/notifications", notifications.mail_preferences, name="profile-notifications"),
    path("notifications", notifications.notice_list, name="notifications"),
    path("notifications/mark-read", notifications.mark_read, name="notifications-mark-read"),
    path("notifications/live", live_count.live, name="notifications-live"),
    path("notifications/<uuid:notice_id>/open", notifications.open_notice, name="notification-open"),
    path("unsubscribe/<str:token>", notifications.unsubscribe, name="unsubscribe"),
]
