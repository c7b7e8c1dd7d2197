"""A running portal, and browsers in which every error fails the test."""

import pytest
from django.conf import settings as project
from django.core.management import call_command
from django.test import Client, override_settings
from playwright.sync_api import expect

from tests.browser.watch import Watch

# Wait long, because the machine may be busy. No browser test measures speed.
expect.set_options(timeout=30_000)


@pytest.fixture(scope="session")
def collected(tmp_path_factory):
    """Settings of static files that are collected, as users get them.

    The page's one script has run when the page has loaded. The sources load their modules after that.
    """
    folder = tmp_path_factory.mktemp("collected")
    storage = {"BACKEND": "config.http.static.ManifestStorage", "OPTIONS": {"location": str(folder)}}
    facts = {"STATIC_ROOT": str(folder), "STORAGES": project.STORAGES | {"staticfiles": storage}}
    with override_settings(**facts):
        call_command("collectstatic", interactive=False, verbosity=0)
    # The server of the tests looks for files where the finders look.
    return facts | {"STATIC_COLLECTED": True, "STATICFILES_DIRS": [str(folder)]}


@pytest.fixture(autouse=True)
def portal(transactional_db, seeded, settings, live_server, collected, tmp_path):
    """The address of a portal that writes its letters to `tmp_path`/mail."""
    for name, value in collected.items():
        setattr(settings, name, value)
    settings.SITE_URL = live_server.url
    settings.EMAIL_BACKEND_KIND = "file"
    settings.EMAIL_BACKEND = "config.outside.mail_backends.OneFileEachBackend"
    settings.EMAIL_FILE_PATH = str(tmp_path / "mail")
    return live_server.url


@pytest.fixture(scope="session")
def browser_context_args(browser_context_args):
    """Make text, times and motion the same on every machine."""
    return {**browser_context_args, "locale": "en-GB", "timezone_id": "UTC", "reduced_motion": "reduce"}


@pytest.fixture
def context_args(browser_context_args, portal):
    """Options of every browser context. With `base_url`, tests open pages by their path."""
    return {**browser_context_args, "base_url": portal}


@pytest.fixture(autouse=True)
def watch():
    """Fails the test for every console error, policy violation and failed request that it did not expect."""
    watch = Watch()
    yield watch
    watch.check()


@pytest.fixture
def visit(browser, context_args, watch, portal):
    """visit() is a new visitor's page, visit(user) a signed-in user's; `options` are those of the browser context."""
    contexts = []

    def page_of(user=None, **options):
        context = browser.new_context(**{**context_args, **options})
        contexts.append(context)
        watch.over(context)
        if user is not None:
            client = Client()
            client.force_login(user)
            name = project.SESSION_COOKIE_NAME
            context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": portal}])
        return context.new_page()

    yield page_of
    for context in contexts:
        context.close()


@pytest.fixture
def page(visit):
    """A new visitor's page."""
    return visit()
