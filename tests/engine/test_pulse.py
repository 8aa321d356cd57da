"""Health fails when a part of the operator is silent for too long."""

from uncensor_operator.telemetry import Pulse


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_a_part_that_beats_lives():
    clock = Clock()
    pulse = Pulse(clock)
    pulse.expect("watch", 10)
    for _ in range(5):
        clock.now += 9
        pulse.beat("watch")
    assert pulse.dead() == {}


def test_a_silent_part_is_dead_and_comes_back():
    clock = Clock()
    pulse = Pulse(clock)
    pulse.expect("watch", 10)
    pulse.expect("loop", 100)
    clock.now += 11
    assert pulse.dead() == {"watch": 11}
    pulse.beat("watch")
    assert pulse.dead() == {}


def test_parts_that_nobody_expects_may_be_silent():
    clock = Clock()
    pulse = Pulse(clock)
    pulse.beat("workers")
    clock.now += 10_000
    assert pulse.dead() == {}
