from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chat.settings")
application = get_wsgi_application()

from .views import client  # noqa: E402: it needs the settings that the line above loads

client()  # a missing key is told at the start, and not to the first user; manage.py needs none
