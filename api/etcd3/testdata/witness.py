"""Two agents' worth of Patroni's own store driver, against the store at HOST:PORT, as a foreign witness.

usage: witness.py etcd|etcd3 HOST:PORT

It plays what two agents do to the store: a race for the leader key, members, configuration, synchronous state, a watch
that is woken, a release, and the other one's win. It ends with 0 when Patroni saw what Patroni expects.
"""
import sys
import threading
import time

from patroni.dcs import get_dcs

driver, address = sys.argv[1:3]


def agent(name):
    return get_dcs({driver: {"host": address}, "scope": "witness", "namespace": "service", "name": name,
                    "ttl": 30, "loop_wait": 10, "retry_timeout": 10})


def check(what, got, want=True):
    if got != want:
        sys.exit("%s: got %r, want %r" % (what, got, want))


def eventually(what, ok):
    deadline = time.time() + 20
    while not ok():
        if time.time() > deadline:
            sys.exit("%s: never" % what)
        time.sleep(0.01)


a, b = agent("a"), agent("b")
cluster = a.get_cluster(force=True)
check("an empty store has no leader", cluster.is_unlocked())
check("the first initializes", bool(a.initialize(create_new=True)))
check("the second does not", bool(b.initialize(create_new=True)), False)
check("the system id is written", bool(a.initialize(create_new=False, sysid="7123")))
check("a registers", bool(a.touch_member({"conn_url": "postgres://a:5432/postgres", "state": "running", "role": "replica"})))
check("b registers", bool(b.touch_member({"conn_url": "postgres://b:5432/postgres", "state": "running", "role": "replica"})))
check("a gets the leader key", bool(a.attempt_to_acquire_leader()))
check("b does not", bool(b.attempt_to_acquire_leader()), False)
check("configuration", bool(a.set_config_value('{"ttl":30}')))

eventually("b sees everything", lambda: (lambda c: c.leader is not None and len(c.members) == 2 and c.config is not None)(b.get_cluster(force=True)))
cluster = b.get_cluster(force=True)
check("the leader", cluster.leader.name, "a")
check("the system id", cluster.initialize, "7123")
check("the configuration", cluster.config.data["ttl"], 30)

eventually("a knows that it leads", lambda: a.get_cluster(force=True).leader.name == "a")
check("a keeps the key", bool(a.update_leader(4711)))
eventually("the position", lambda: b.get_cluster(force=True).last_lsn == 4711)

check("synchronous state", bool(a.write_sync_state("a", "b")))
eventually("b sees it", lambda: b.get_cluster(force=True).sync.leader == "a")
index = b.get_cluster(force=True).sync.index
check("a write on an old index", bool(a.write_sync_state("a", None, index=1)), False)
check("a write on the index", bool(a.write_sync_state("a", None, index=index)))

cluster = b.get_cluster(force=True)
woken = []
watcher = threading.Thread(target=lambda: woken.append(b.watch(getattr(cluster.leader, "index", None), 20)))
watcher.start()
a.delete_leader()
watcher.join()
check("the release wakes b", woken, [True])

eventually("b sees the release", lambda: b.get_cluster(force=True).is_unlocked())
check("b gets the leader key", bool(b.attempt_to_acquire_leader()))
eventually("a sees it", lambda: (lambda l: l is not None and l.name == "b")(a.get_cluster(force=True).leader))
check("history", bool(b.set_history_value('[[1,4711,"no recovery target specified"]]')))
check("all of it goes", bool(b.delete_cluster()))
print("ok")
sys.stdout.flush()
import os
os._exit(0)  # the drivers' threads would go on
