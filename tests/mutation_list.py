"""What keeps the twenty-five bugs away and the eleven invariants true, and what the code is without it."""

from __future__ import annotations

from typing import NamedTuple

LUA = "coordination/lua"

BUGS = {
    1: "a client repeats a call whose reply was lost",
    2: "a repeated script takes its own success for another's",
    3: "a long BLOCK meets the socket's time limit",
    4: "a cancelled call puts replies out of step, or leaks its connection",
    5: "a pool raises at its limit, and blocked readers use it up",
    6: "WAITAOF on a connection that has not written",
    7: "one's own pending entries are never seen after a lost reply",
    8: "a scan that begins at the first entry each time",
    9: "a killed reclaimer ends recovery",
    10: "a living agent is robbed of a long task",
    11: "acknowledging what another holds by now",
    12: "a retry runs beside the delivery that it superseded",
    13: "deleting a consumer that still holds entries",
    14: "trimmed entries, and what they leave pending",
    15: "XACK without XDEL, XDEL without XACK",
    16: "a group that vanished",
    17: "an error in the middle of a script keeps what was written",
    18: "cjson changes what it carries",
    19: "a failure in recovery strands a workflow",
    20: "recovery acts on a stale list",
    21: "accepted input is dropped because the owner changed",
    22: "an early answer is dropped, a late one answers something else",
    23: "a demoted server, a script that is unknown",
    24: "a scheduler acts although another has",
    25: "dropped pushes; SQLite refuses a late write lock",
}


class Mutation(NamedTuple):
    """One guard, and what stands in its place when it is taken out.

    Attributes:
        number: The bug's, or the invariant's.
        words: What the guard does.
        path: The file it stands in.
        guard: Its text, once in that file.
        without: What the text becomes.
        tests: Those that show an invariant; the tests of a bug have its number in their names.
    """

    number: int
    words: str
    path: str
    guard: str
    without: str
    tests: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """``17`` for a bug, ``I3`` for an invariant."""
        return f"I{self.number}" if self.tests else str(self.number)


MUTATIONS = [
    Mutation(
        1, "a broken call ends with `OutcomeUnknown` and is not sent again", "coordination/connection.py",
        '_fail(left, OutcomeUnknown(f"The connection to Redis broke during a call: {error}."))',
        "self._waiting.extend(left)",
    ),
    Mutation(
        2, "the holder's claim again is the same claim", f"{LUA}/claim_task-3.lua",
        "holder ~= previous and holder ~= agent then return {HELD", "holder ~= previous then return {HELD",
    ),
    Mutation(
        2, "an end said again is this host's own", f"{LUA}/finish-7.lua",
        "if is_final(state) then return {1, '', parent or '', now} end", "if is_final(state) then return {STALE} end",
    ),
    Mutation(
        3, "the only limit is longer than any BLOCK", "coordination/connection.py",
        "_EXCHANGE_S = 15.0", "_EXCHANGE_S = 5.0",
    ),
    Mutation(
        4, "a cancelled call keeps its place among the replies", "coordination/wire.py",
        "command, future = pending[0]",
        "command, future = next((sent for sent in pending if not sent[1].cancelled()), pending[0])\n"
        "                while pending[0][1] is not future:\n"
        "                    pending.popleft()",
    ),
    Mutation(
        4, "a wire whose reply is outstanding is closed", "coordination/connection.py",
        "if reply.cancelled():  # its reply is outstanding\n                wire.close()",
        "if reply.cancelled():\n                wire._pending.clear()\n                self._idle.append(wire)",
    ),
    Mutation(
        5, "calls share a few lanes and wait for them", "coordination/connection.py", "_LANES = 4", "_LANES = 4_000",
    ),
    Mutation(
        6, "a marker is written on the connection that asks", "coordination/durability.py",
        '("SET", marker, 1, "EX", 60)', '("PING",)',
    ),
    Mutation(
        7, "after each failure an agent reads its own pending entries", "agents/fetch.py",
        'after = b"0"', 'after = b">"',
    ),
    Mutation(
        8, "each page begins where the last one ended", "agents/fetch.py",
        "            after = found[-1][0]", "            return",
    ),
    Mutation(
        8, "the next look goes on where the last one ended", "coordination/sweeper.py",
        'f"({entries[-1]}" if len(entries) == _PAGE else "-"', '"-"',
    ),
    Mutation(
        9, "what is left to do stands in the registry, behind no lock", f"{LUA}/bury_agent-5.lua",
        "redis.call('HSET', KEYS[5]", "local _ = (KEYS[5]",
    ),
    Mutation(
        10, "a task is taken only from a holder that the registry does not know", "agents/execution.py",
        'if claim.outcome != "held":\n            return claim\n',
        'if claim.outcome != "held":\n            return claim\n'
        "        return await tasks.claim(self._connection, delivery, instance, previous=claim.holder)\n",
    ),
    Mutation(
        11, "silence is counted in beats, not in time", "coordination/watchdog.py",
        "        for name, count, silent_s in self._suspicion.observe(counts, beat.at):",
        "        before, self._before_ms = getattr(self, '_before_ms', beat.now_ms), beat.now_ms\n"
        "        late = [(name, count, 1.0) for name, count in counts.items() if beat.now_ms - before > 800]\n"
        "        for name, count, silent_s in late:",
        ("tests/integration/test_core_clock.py::"
         "test_a_clock_set_by_an_hour_declares_nobody_dead_and_starts_nothing_twice",),
    ),
    Mutation(
        11, "holder and move in one script", f"{LUA}/move_tasks-2.lua",
        "mine = pending and pending[2] == ARGV[2]", "mine = pending ~= nil",
    ),
    Mutation(
        12, "the task's record names the one attempt that may run", f"{LUA}/claim_task-3.lua",
        "generation ~= ARGV[3] or attempt ~= ARGV[4] or", "",
    ),
    Mutation(
        13, "look and deletion in one script", f"{LUA}/retire_consumer-1.lua",
        "1, ARGV[2])[1] then return 0 end", "1, ARGV[2])[2] then return 0 end",
    ),
    Mutation(
        13, "a dead host's consumer goes with its last entry", f"{LUA}/take_over-1.lua",
        "if #pending < tonumber(ARGV[3]) then", "if #pending > 0 then",
    ),
    Mutation(
        14, "no stream with a group has a cap", f"{LUA}/submit-4.lua",
        "redis.call('XADD', KEYS[2], '*', 'w', id)", "redis.call('XADD', KEYS[2], 'MAXLEN', 100, '*', 'w', id)",
    ),
    Mutation(
        14, "an entry that was deleted is acknowledged", "agents/fetch.py",
        "self._acknowledger.add_entry(queue, entry_id)  # trimmed or deleted under us", "pass",
    ),
    Mutation(
        15, "acknowledging deletes too", f"{LUA}/acknowledge-1.lua",
        "redis.call('XDEL', KEYS[1], unpack(ARGV, 2))", "",
    ),
    Mutation(
        15, "letting go acknowledges too", f"{LUA}/_resume.lua",
        "  redis.call('XACK', stream, 'coordinators', string.sub(entry, 2))\n", "",
    ),
    Mutation(
        16, "groups begin at the stream's beginning", "coordination/streams.py",
        'stream, group, "0", "MKSTREAM"', 'stream, group, "$", "MKSTREAM"',
    ),
    Mutation(
        17, "numbers are looked at before the first write", f"{LUA}/submit-4.lua",
        "ARGV[1], number(5), number(6), number(7)",
        "ARGV[1], tonumber(ARGV[5]) or 0, tonumber(ARGV[6]), tonumber(ARGV[7]) or 0",
    ),
    Mutation(
        17, "entry ids are looked at before the first move", f"{LUA}/move_tasks-2.lua",
        "assert(string.find(ARGV[index], '^%d+%-%d+$'), 'argument ' .. index .. ' is no id')", "",
    ),
    Mutation(
        18, "payloads are bytes to scripts", f"{LUA}/submit-4.lua",
        "'input', ARGV[4],", "'input', cjson.encode(cjson.decode(ARGV[4])),",
    ),
    Mutation(
        19, "what is pending here and not in memory is taken up again", "coordination/host.py",
        "await self._sweeper.rescue_own()", "await asyncio.sleep(0)",
    ),
    Mutation(
        20, "the owner is compared when a workflow is claimed", f"{LUA}/claim_workflow-7.lua",
        "if owner ~= '' and owner ~= host and owner ~= ARGV[4] then", "if false then",
    ),
    Mutation(
        20, "the count is compared when a host is declared dead", f"{LUA}/declare_dead-4.lua",
        "if ARGV[2] ~= '' and count ~= ARGV[2] then", "if false then",
    ),
    Mutation(
        21, "nobody parks over what it has not read", f"{LUA}/park-5.lua",
        "if seq ~= ARGV[3] then return UNREAD end", "",
    ),
    Mutation(
        21, "nobody ends a workflow over what it has not read", f"{LUA}/finish-7.lua",
        "if seq ~= ARGV[3] then return {UNREAD} end", "",
    ),
    Mutation(
        22, "a decision names a version", f"{LUA}/decide-7.lua",
        "if state ~= 'open' or version ~= ARGV[3] then", "if state ~= 'open' then",
    ),
    Mutation(
        23, "an unknown script is sent whole", "coordination/wire.py",
        "self._unknown(command, future)", "future.set_exception(reply)",
    ),
    Mutation(
        23, "a connection to a demoted server is not used again", "coordination/wire.py",
        "self.demoted = self.demoted or refused.reason in DEMOTED", "pass",
    ),
    Mutation(
        24, "the key is the schedule and its time", "dashboard/jobs.py",
        'key=f"schedule:{schedule.pk}:{stamp}"', 'key=f"schedule:{schedule.pk}:{timezone.now()}"',
    ),
    Mutation(
        25, "transactions lock when they begin", "config/environment.py", '"IMMEDIATE"', '"DEFERRED"',
    ),
    Mutation(
        25, "a page that missed a frame is sent all of it", "dashboard/consumers.py",
        "            await self._present()\n            return\n        self.sent.clear()\n",
        "            await self._present()\n            return\n",
    ),
]  # fmt: skip

FLOWS, TASKS = "tests/lua/test_workflow_scripts.py", "tests/lua/test_task_scripts.py"
ONE = "tests/lua/test_one_server.py"

INVARIANTS = [
    Mutation(
        1, "state, index and queue entry are written together", f"{LUA}/submit-4.lua",
        "redis.call('ZADD', KEYS[3], now + look, id)\n", "",
        (f"{FLOWS}::test_submit_writes_state_index_and_entry_at_once",),
    ),
    Mutation(
        2, "a write compares the epoch", f"{LUA}/checkpoint-5.lua", "epoch ~= ARGV[2] or ", "",
        (f"{FLOWS}::test_stale_epochs_are_refused_and_change_nothing",),
    ),
    Mutation(
        2, "taking up raises the epoch", f"{LUA}/claim_workflow-7.lua", "epoch = tonumber(epoch) + 1",
        "epoch = math.max(tonumber(epoch), 1)", (f"{FLOWS}::test_stale_epochs_are_refused_and_change_nothing",),
    ),
    Mutation(
        3, "a step that is settled takes no other result", f"{LUA}/report_task-4.lua", "or not open or", "or",
        (f"{TASKS}::test_the_first_result_of_any_attempt_settles",),
    ),
    Mutation(
        4, "nobody parks over what it has not read", f"{LUA}/park-5.lua",
        "if seq ~= ARGV[3] then return UNREAD end", "", (f"{FLOWS}::test_park_is_refused_while_something_is_unread",),
    ),
    Mutation(
        4, "nobody ends a workflow over what it has not read", f"{LUA}/finish-7.lua",
        "if seq ~= ARGV[3] then return {UNREAD} end", "",
        (f"{FLOWS}::test_finish_is_refused_while_something_is_unread",),
    ),
    Mutation(
        4, "nobody asks people for a result that is there", f"{LUA}/escalate-5.lua", "last ~= ARGV[7] and is_settled",
        "false and is_settled", (f"{FLOWS}::test_checkpoint_never_queues_over_a_settled_task",),
    ),
    Mutation(
        5, "an escalation's id is opened once", f"{LUA}/escalate-5.lua",
        "if redis.call('EXISTS', KEYS[3]) == 1 then return {DUPLICATE} end", "",
        ("tests/lua/test_escalation_scripts.py::test_it_opens_once_with_the_workflows_state",),
    ),
    Mutation(
        5, "a decision needs an open escalation of its version", f"{LUA}/decide-7.lua",
        "if state ~= 'open' or version ~= ARGV[3] then", "if false then",
        ("tests/lua/test_escalation_scripts.py::test_one_of_a_hundred_deciders_wins",),
    ),
    Mutation(
        6, "what is due is looked at", "coordination/sweeper.py", "for raw in due", "for raw in due[:0]",
        ("tests/integration/test_core_waiting.py::test_a_long_timer_brings_a_parked_workflow_back",),
    ),
    Mutation(
        7, "attempts are counted", "coordination/task_steps.py", "elif run.used > run.retries:", "elif False:",
        ("tests/integration/test_core_retries.py::test_after_the_last_attempt_there_is_exactly_one_escalation",),
    ),
    Mutation(
        7, "agents that a task has ended are counted", f"{LUA}/claim_task-3.lua", "if tonumber(claims) > most then",
        "if false then", (f"{TASKS}::test_a_task_that_ends_its_agents_is_poison_and_says_so",),
    ),
    Mutation(
        7, "what was claimed before is left to the script that counts", f"{LUA}/fetch_tasks-4.lua",
        "held[1] ~= attempt .. ':q:0:0:0:'", "string.sub(held[1] or '', 1, #attempt) ~= attempt",
        (f"{ONE}::test_an_attempt_that_was_claimed_before_is_left_to_the_script_that_counts",),
    ),
    Mutation(
        8, "what is acknowledged leaves its stream, and nothing else does", f"{LUA}/acknowledge-1.lua",
        "redis.call('XDEL', KEYS[1], unpack(ARGV, 2))", "redis.call('XTRIM', KEYS[1], 'MAXLEN', 0)",
        ("tests/lua/test_property_queues.py::test_any_sequence_keeps_each_entry_in_one_place",),
    ),
    Mutation(
        9, "a server's refusal is told as one", "coordination/wire.py", "refusal(said)", "None",
        ("tests/integration/test_core_refusals.py::test_refused_writes_are_said_and_accepted_work_goes_on_later",),
    ),
    Mutation(
        10, "nothing is forgotten that the history lacks", f"{LUA}/forget-2.lua", "seq ~= ARGV[1] or ", "",
        (f"{FLOWS}::test_forget_keeps_what_is_not_mirrored_to_its_end",),
    ),
    Mutation(
        10, "an older reading is not stored", "dashboard/mirror.py",
        '"(excluded.generation, excluded.seq) > (dashboard_workflow.generation, dashboard_workflow.seq)"', '"1 = 1"',
        ("tests/integration/test_relay.py::test_an_older_reading_never_overwrites_a_newer_one",),
    ),
    Mutation(
        11, "what waits is carried over to a clock that was set", "coordination/host.py",
        "execution.clock_set(int(moved_ms))", "pass",
        ("tests/integration/test_core_clock.py::"
         "test_a_clock_set_by_an_hour_declares_nobody_dead_and_starts_nothing_twice",),
    ),
    Mutation(
        11, "a clock that was set is learnt from beats alone", "coordination/host.py",
        "if not self._beat_skew_ms or abs(skew_ms - self._beat_skew_ms) < j.CLOCK_SET_MS:", "if True:",
        ("tests/integration/test_core_clock.py::"
         "test_retries_that_begin_before_a_host_notices_a_set_clock_come_in_time",),
    ),
    Mutation(
        6, "who beats now is asked in each round", "coordination/rescue.py",
        "strict=True) if beat is None]", "strict=True)]",
        ("tests/integration/test_core_rescue.py::"
         "test_a_host_that_once_did_not_beat_keeps_what_it_takes_when_it_does",),
    ),
    Mutation(
        2, "nothing is written after what the server does not have", f"{LUA}/checkpoint-5.lua",
        " or tonumber(seq) < number(7)", "",
        ("tests/integration/test_lost_data.py::"
         "test_nothing_is_written_after_an_entry_that_the_server_does_not_have",),
    ),
]  # fmt: skip
