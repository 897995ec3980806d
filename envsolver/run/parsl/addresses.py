"""The address of this machine that a cluster's nodes connect to."""

from __future__ import annotations

import socket

import psutil

from envsolver.core.profiles import ProfileSettings


def address_of(settings: ProfileSettings) -> str | None:
    """Return the address that a profile names; None when the nodes are to try all that this machine has.

    Raises
    ------
    OSError
        There is no such interface, or it has no address.
    """
    if settings.interface is None:
        return settings.address
    addresses = psutil.net_if_addrs().get(settings.interface, [])
    found = next((each.address for each in addresses if each.family == socket.AF_INET), None)
    if found is None:
        raise OSError(0, f"there is no interface {settings.interface} with an address (IPv4)")
    return found
