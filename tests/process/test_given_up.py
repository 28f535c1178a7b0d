"""A slot whose children die before they are ready, on real servers: readings and doctor show it until it is mended."""

import re
import signal
from contextlib import closing

from dtqs.cli.checks.postgresql import postgresql
from dtqs.readings import SystemReader
from tests.support.fix_trial import Try
from tests.support.helpers import eventually
from tests.support.trial import Trial


def reload(system: Trial, memory_limit: str) -> None:
    assert system.supervisor
    ini = system.config_path.read_text(encoding="utf-8")
    ini = re.sub("memory_limit = .*", f"memory_limit = {memory_limit}", ini)
    system.config_path.write_text(ini, encoding="utf-8")
    system.supervisor.send_signal(signal.SIGHUP)


def test_a_slot_that_is_given_up_is_an_alarm_with_the_last_words_until_a_reload_mends_it(trial: Try) -> None:
    system = trial({"pool:default": {"workers": 1, "memory_limit": "1G"}, "supervisor": {"restart_limit": 3}})
    with closing(SystemReader(system.store, system.config.rabbitmq, "test")) as reader:
        # a worker may be ready a moment before its queue is declared
        eventually(lambda: not reader.read().alarms, 30, "no alarm")
        reload(system, "32M")
        alarm = eventually(lambda: reader.read().alarms, 30, "an alarm")[0]
        assert alarm.startswith("default/0 on ")
        assert " is given up, because its children ended before they were ready: [pool:default] memory_limit" in alarm
        assert alarm.endswith("; dtqs ctl reload tries again")
        (slots,) = [check for check in postgresql(system.config, ()) if check.part == "slots"]
        assert (slots.state, slots.found) == ("failed", alarm)
        reload(system, "1G")
        eventually(lambda: not reader.read().alarms, 30, "no alarm is left")
    eventually(lambda: len(system.workers()) == 1, 10, "only the new worker is left")
    system.check()
