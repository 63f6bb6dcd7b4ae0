from __future__ import annotations

from django.urls import path

from . import views

urlpatterns = [
    path("", views.page),
    path("conversation", views.conversation),
    path("ask", views.ask),
    path("new", views.new),
]
