"""The journal: what was made is known after a crash, whenever it came."""

from pathlib import Path

import pytest

from sandbox.journal import Entry, Journal


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "run" / "journal")


def test_an_empty_journal_speaks_of_nothing(journal: Journal) -> None:
    assert journal.entries() == ()


def test_entries_come_back_in_order(journal: Journal) -> None:
    entries = (
        Entry("link", "slw0br"),
        Entry("process", "etcd", ("etcd", "--data-dir=/x"), "/log/etcd.log", "/run/etcd"),
        Entry("cgroup", "slipway0"),
    )

    for entry in entries:
        journal.add(entry)

    assert journal.entries() == entries


def test_the_same_entry_twice_is_kept_once(journal: Journal) -> None:
    journal.add(Entry("link", "slw0br"))
    journal.add(Entry("link", "slw0br"))

    assert journal.of("link") == (Entry("link", "slw0br"),)


def test_a_line_cut_short_spoils_neither_its_predecessor_nor_its_successor(
    journal: Journal,
) -> None:
    journal.add(Entry("link", "slw0br"))
    with journal.path.open("a") as file:
        file.write('\n{"kind": "na')

    journal.add(Entry("cgroup", "slipway0"))

    assert journal.entries() == (Entry("link", "slw0br"), Entry("cgroup", "slipway0"))


def test_a_process_that_was_started_again_is_known_by_its_latest_command(journal: Journal) -> None:
    journal.add(Entry("process", "etcd", ("etcd", "--old")))
    journal.add(Entry("process", "etcd", ("etcd", "--new")))

    latest = journal.process("etcd")

    assert latest is not None
    assert latest.command == ("etcd", "--new")
