"""An autoscaled pool on real servers grows under load and shrinks when it is quiet; no task is lost or spent twice."""

from tests.support.fix_trial import Try
from tests.support.helpers import eventually


def test_a_pool_grows_under_load_shrinks_when_quiet_and_loses_nothing(trial: Try) -> None:
    system = trial({"pool:default": {"workers": 0, "min": 1, "max": 2, "target_wait_seconds": 1, "quiet_seconds": 2}})
    eventually(lambda: len(system.workers()) == 1, 10, "the least number of workers")
    ids = system.put({"sleep_seconds": 1}, 8, light=False)
    eventually(lambda: len(system.workers()) == 2, 20, "the most workers")
    assert set(system.outcomes(ids, 30)) == {"completed"}
    assert "pool resized pool=default workers=2 before=1 reason=" in system.log("supervisor")
    late = system.put({"sleep_seconds": 1}, 2, light=False)
    assert set(system.outcomes(late)) == {"completed"}
    eventually(lambda: len(system.workers()) == 1, 30, "the quiet pool has shrunk")
    assert "reason=quiet for " in system.log("supervisor")
    assert system.spent() == {1: 10}
    system.check()
