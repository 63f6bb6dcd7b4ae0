from __future__ import annotations

import os
import secrets
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("CHAT_DATA") or BASE_DIR / "instance")
DATA.mkdir(mode=0o700, exist_ok=True)


def kept_key() -> str:
    """A key made once, by `manage.py migrate`, and kept for all workers; the environment's SECRET_KEY comes first."""
    try:
        with open(DATA / "secret_key", "x", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write(secrets.token_hex(32))
    except FileExistsError:
        pass
    return (DATA / "secret_key").read_text()


SECRET_KEY = os.environ.get("SECRET_KEY") or kept_key()
DEBUG = os.environ.get("DEBUG") == "1"
ALLOWED_HOSTS = os.environ.get("ALLOWED_HOSTS", "127.0.0.1,localhost").split(",")

ROOT_URLCONF = "chat.urls"
WSGI_APPLICATION = "chat.wsgi.application"
INSTALLED_APPS = ["django.contrib.sessions"]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [{
    "BACKEND": "django.template.backends.django.DjangoTemplates",
    "DIRS": [BASE_DIR / "templates"],  # the page is the same as the Flask example's
    "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
}]

# Sessions are kept in the database, where a conversation can be changed in a transaction.
SESSION_ENGINE = "django.contrib.sessions.backends.db"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = os.environ.get("COOKIE_SECURE") == "1"  # set it for HTTPS
DATABASES = {"default": {
    "ENGINE": "django.db.backends.sqlite3",
    "NAME": DATA / "db.sqlite3",
    "OPTIONS": {"timeout": 10, "transaction_mode": "IMMEDIATE"},  # one writer at a time, the others wait
}}
DATA_UPLOAD_MAX_MEMORY_SIZE = 100_000
TIME_ZONE = "UTC"
