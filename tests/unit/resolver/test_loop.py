"""The event loop of the resolver."""

import os

import pytest

from landbridge.resolver.loop import EPOLLIN, Loop


def test_timers_fire_in_order_of_time_then_of_asking() -> None:
    loop, order = Loop(), []
    loop.later(0.02, loop.stop)
    loop.later(0.01, lambda: order.append("b"))
    loop.later(0.0, lambda: order.append("a"))
    loop.later(0.0, lambda: order.append("a2"))
    loop.run()
    assert order == ["a", "a2", "b"]


def test_a_failing_callback_is_reported_and_the_rest_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    loop, seen = Loop(), []
    reader, writer = os.pipe()

    def ready(events: int) -> None:
        seen.append(os.read(reader, 1))
        if len(seen) == 2:
            loop.stop()
        raise ValueError(f"number {len(seen)}")

    loop.watch(reader, EPOLLIN, ready)
    os.write(writer, b"xy")
    loop.run()
    assert seen == [b"x", b"y"]
    assert "ValueError: number 1" in capsys.readouterr().err
    loop.forget(reader)
    loop.forget(reader)
    os.close(reader)
    os.close(writer)


def test_a_descriptor_forgotten_in_the_same_round_is_not_called() -> None:
    loop, called = Loop(), []
    pipes = [os.pipe() for _ in range(2)]

    def ready(events: int) -> None:
        called.append(events)
        for reader, _ in pipes:
            loop.forget(reader)
        loop.later(0.0, loop.stop)

    for reader, writer in pipes:
        loop.watch(reader, EPOLLIN, ready)
        os.write(writer, b"x")
    loop.run()
    assert called == [EPOLLIN]
    for pair in pipes:
        for fd in pair:
            os.close(fd)
