"""The pages about people."""

from django.urls import path

from .views import auth, profile

urlpatterns = [
    path("signup", auth.signup, name="signup"),
    path("login", auth.login, name="login"),
    path("logout", auth.logout, name="logout"),
    path("verify-email", auth.verify_email, name="verify-email"),
    path("change-email", auth.change_email, name="change-email"),
    path("forgot-password", auth.forgot_password, name="forgot-password"),
    path("reset-password", auth.reset_password, name="reset-password"),
    path("profile", profile.profile, name="profile"),
    path("avatars/<uuid:user_id>", profile.avatar, name="avatar"),
    path("notifications", profile.notices, name="notifications"),
    path("notifications/mark-read", profile.mark_notices_read, name="notifications-mark-read"),
]
