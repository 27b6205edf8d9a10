# SPDX-License-Identifier: LGPL-2.1-or-later
"""OpenStream of org.ackgroup.Client1, called through libsystemd: busctl cannot take a descriptor out of a reply."""

import ctypes
import os
import socket

from client import MANAGER, NAME, PATH, Failed
from frames import Submitter

sd = ctypes.CDLL("libsystemd.so.0")
sd.sd_bus_flush_close_unref.restype = sd.sd_bus_message_unref.restype = ctypes.c_void_p
Pointer = ctypes.c_void_p
NUMBERS = {"b": ctypes.c_int, "u": ctypes.c_uint32, "t": ctypes.c_uint64}


class BusError(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("message", ctypes.c_char_p), ("need_free", ctypes.c_int)]


def check(r, error=None):
    if r < 0:
        text = error.message.decode() if error and error.message else os.strerror(-r)
        raise Failed(f"{error.name.decode().rpartition('.')[2] if error and error.name else ''}: {text}")


def connect(address):
    """Returns a connection to the bus at that address."""
    bus = Pointer()
    check(sd.sd_bus_new(ctypes.byref(bus)))
    check(sd.sd_bus_set_address(bus, address.encode()))
    check(sd.sd_bus_set_bus_client(bus, 1))
    check(sd.sd_bus_start(bus))
    return bus


def append_option(call, name, kind, value):
    check(sd.sd_bus_message_open_container(call, ctypes.c_char(b"e"), b"sv"))
    check(sd.sd_bus_message_append_basic(call, ctypes.c_char(b"s"), name.encode()))
    check(sd.sd_bus_message_open_container(call, ctypes.c_char(b"v"), kind.encode()))
    if kind == "as":
        check(sd.sd_bus_message_open_container(call, ctypes.c_char(b"a"), b"s"))
        for word in value:
            check(sd.sd_bus_message_append_basic(call, ctypes.c_char(b"s"), word.encode()))
        check(sd.sd_bus_message_close_container(call))
    else:
        data = value.encode() if kind == "s" else ctypes.byref(NUMBERS[kind](value))
        check(sd.sd_bus_message_append_basic(call, ctypes.c_char(kind.encode()), data))
    check(sd.sd_bus_message_close_container(call))
    check(sd.sd_bus_message_close_container(call))


def subscribe(client):
    """Subscribes to signals until the result is passed to unsubscribe()."""
    bus = connect(client.bus.environment["DBUS_SESSION_BUS_ADDRESS"])
    error = BusError()
    check(sd.sd_bus_call_method(bus, NAME.encode(), PATH.encode(), MANAGER.encode(), b"Subscribe", ctypes.byref(error), None,
                                b""), error)
    return bus


def unsubscribe(bus):
    sd.sd_bus_flush_close_unref(bus)


TYPES = {"mode": "s", "target": "s", "settlements": "b", "signals": "b", "reply_cut": "b", "durability": "s"}


def open_stream(client, **options):
    """Returns a Submitter. Raises Failed when the client refuses."""
    bus = connect(client.bus.environment["DBUS_SESSION_BUS_ADDRESS"])
    call, reply, error, fd = Pointer(), Pointer(), BusError(), ctypes.c_int(-1)
    try:
        check(sd.sd_bus_message_new_method_call(bus, ctypes.byref(call), NAME.encode(), PATH.encode(), MANAGER.encode(),
                                                b"OpenStream"))
        check(sd.sd_bus_message_open_container(call, ctypes.c_char(b"a"), b"{sv}"))
        for name, value in options.items():
            append_option(call, name, {**client.TYPES, **TYPES}[name], value)
        check(sd.sd_bus_message_close_container(call))
        check(sd.sd_bus_call(bus, call, ctypes.c_uint64(20_000_000), ctypes.byref(error), ctypes.byref(reply)), error)
        check(sd.sd_bus_message_read_basic(reply, ctypes.c_char(b"h"), ctypes.byref(fd)))
        sock = socket.socket(fileno=os.dup(fd.value))
    finally:
        sd.sd_bus_error_free(ctypes.byref(error))
        for message in (call, reply):
            if message:
                sd.sd_bus_message_unref(message)
        sd.sd_bus_flush_close_unref(bus)
    sock.settimeout(60)
    return Submitter(sock)
