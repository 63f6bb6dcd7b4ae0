"""gunicorn -c gevent_conf.py: gevent workers, and the application loaded once, before they are forked."""
from __future__ import annotations

# First of all, so that Django, ssl and urllib3 are loaded as gevent wants them. With --preload, gunicorn alone would
# patch too late: in the workers, when they are loaded already.
from gevent import monkey

monkey.patch_all()

worker_class = "gevent"
preload_app = True
timeout = 150
