"""How many photos the page holds, and which it forgets first."""

import numpy as np
import pytest

from pipeline.serving import session as module
from pipeline.serving.session import SessionGoneError, SessionStore, start

SMALL = start(np.zeros((10, 20, 3), np.uint8))


def is_held(store: SessionStore, name: str) -> bool:
    """Tell whether a photo is still there, which touches it."""
    try:
        store.get(name)
    except SessionGoneError:
        return False
    return True


def test_the_photo_that_waits_longest_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A photo that is used stays."""
    monkeypatch.setattr(module, "MAX_SESSIONS", 3)
    store = SessionStore()
    names = [store.add(SMALL, {}) for _ in range(3)]
    store.get(names[0])
    store.update(names[1], SMALL, {})
    store.add(SMALL, {})
    assert [is_held(store, name) for name in names] == [True, True, False]
    assert len(store) == 3


def test_bytes_are_bounded_and_the_newest_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Photos, masks and pictures count; one photo alone may be larger than the bound."""
    monkeypatch.setattr(module, "MAX_BYTES", 10_000)
    store = SessionStore()
    first, second = store.add(SMALL, {}), store.add(SMALL, {"shown": bytes(5_000)})
    assert is_held(store, first)
    store.update(second, SMALL, {"shown": bytes(9_000)})
    assert not is_held(store, first)
    third = store.add(SMALL, {"shown": bytes(20_000)})
    assert is_held(store, third)
    assert not is_held(store, second)


def test_a_photo_that_nobody_touches_is_forgotten() -> None:
    """After `SECONDS_KEPT`, counted from the last use."""
    now = [0.0]
    store = SessionStore(clock=lambda: now[0])
    idle, used = store.add(SMALL, {}), store.add(SMALL, {})
    now[0] = module.SECONDS_KEPT - 1
    store.get(used)
    now[0] = module.SECONDS_KEPT + 1
    store.sweep()
    assert [is_held(store, name) for name in (idle, used)] == [False, True]


def test_a_step_of_a_photo_that_is_gone_brings_nothing_back() -> None:
    """Forgetting is final."""
    store = SessionStore()
    name = store.add(SMALL, {})
    store.drop(name)
    store.drop(name)
    with pytest.raises(SessionGoneError, match="choose it again"):
        store.update(name, SMALL, {})
    assert len(store) == 0


def test_every_step_has_a_number_of_its_own() -> None:
    """So that the address of a picture is never that of an older one."""
    store = SessionStore()
    name = store.add(SMALL, {})
    assert [store.update(name, SMALL, {}).version for _ in range(3)] == [1, 2, 3]
