"""Stores by name, the loop over them, and where their messages come from and go to."""

from forebay.hub.app import App
from forebay.hub.entity_db import EntityDb
from forebay.hub.loading import LoadProgress, load
from forebay.hub.reports import WorkerOutput
from forebay.hub.sources import read_messages, replacing, write_messages
from forebay.hub.store_hub import StoreHub
from forebay.hub.subscribers import Event

__all__ = [
    "App",
    "EntityDb",
    "Event",
    "LoadProgress",
    "StoreHub",
    "WorkerOutput",
    "load",
    "read_messages",
    "replacing",
    "write_messages",
]
