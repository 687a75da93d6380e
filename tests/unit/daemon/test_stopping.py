"""How a daemon ends: in order at the first signal, a little later whatever it waits for, at once at the second."""

import os
import signal
import socket
import threading
import time

import pytest

from assay_core.daemon.stopping import Interrupted, StoppableClock, check, stopped_by_signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_to_stop(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with stopped_by_signals() as stop:
        check(stop)
        os.kill(os.getpid(), number)
        assert stop.wait(1.0)
        with pytest.raises(Interrupted):
            check(stop)
    assert signal.getsignal(number) == before


def test_the_second_signal_ends_it_as_if_nobody_were_listening() -> None:
    with pytest.raises(KeyboardInterrupt), stopped_by_signals():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)


def test_what_does_not_look_at_the_flag_is_interrupted_after_a_while() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(Interrupted), stopped_by_signals(grace_s=0.05):
        os.kill(os.getpid(), signal.SIGINT)
        try:
            ours.recv(1)  # as from a node that took the request and hangs
        except Exception:  # noqa: BLE001 - as libraries do
            pytest.fail("an Exception: libraries would swallow it")


def test_what_ends_in_time_is_not_interrupted_later() -> None:
    with stopped_by_signals(grace_s=0.05):
        os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.1)


def test_a_sleep_ends_with_the_flag() -> None:
    flag = threading.Event()
    clock = StoppableClock(flag)
    before = clock.monotonic()
    clock.sleep(0.001)
    assert clock.monotonic() > before
    threading.Timer(0.05, flag.set).start()
    with pytest.raises(Interrupted):
        clock.sleep(60)
