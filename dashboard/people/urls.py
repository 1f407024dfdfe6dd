"""Routes of one's own profile, and of the door."""

from django.urls import path

from dashboard.people import views

urlpatterns = [
    path("settings/profile/", views.profile, name="profile"),
    path("settings/profile/app/", views.app, name="factor-app"),
    path("settings/profile/passkey/options/", views.passkey_options, name="passkey-options"),
    path("settings/profile/passkey/", views.passkey, name="passkey-add"),
    path("settings/profile/change/", views.change, name="factor-change"),
    path("settings/profile/sessions/<int:sign_in_id>/", views.sign_out_there, name="session-end"),
    path("settings/people/<int:user_id>/factors/", views.reset, name="factors-reset"),
    path("login/second/", views.second, name="login-second"),
    path("login/passkey/", views.passkey_login, name="login-passkey"),
]
