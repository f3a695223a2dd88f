"""Phonic's websocket protocol as typed values: what each message holds and how it is encoded.

``client`` has the messages that we send, ``server`` those that we receive, ``config`` the
fields of ``config`` and ``reset``, ``codec`` turns both into frames and back. Nothing here
opens a socket or decides anything.

Field names and meanings come from the public ``phonic`` SDK (``phonic.types``); a contract test
walks the SDK's own models and fails when one of its messages or fields is missing here.
"""
