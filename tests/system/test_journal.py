# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the journal shows of a message, and its explanations."""

import json

import pytest

pytestmark = pytest.mark.usefixtures("clean")


def story(host, message):
    lines = host.run("journalctl", "-o", "json", f"ACKGROUP_MESSAGE={message}").splitlines()
    return [json.loads(line) for line in lines]


def test_the_whole_story_of_one_message(host):
    """Two daemons log the same field. The first attempt fails, the second is acked."""
    host.write("/etc/ackgroup/receiver@1.conf", "[Receiver]\nExec=sh -c 'test $ACKGROUP_ATTEMPT = 2'\n")
    host.systemctl("start", "ackgroup-receiver@1.service")
    message = host.run("ackctl", "send", "--to", "1", "--backoff", "10ms", "--no-wait", "x").strip()
    host.run("ackctl", "wait", message)
    other = host.run("ackctl", "send", "--to", "1", "--backoff", "10ms", "--no-wait", "x").strip()
    host.run("ackctl", "wait", other)
    entries = story(host, message)
    texts = "\n".join(entry["MESSAGE"] for entry in entries)
    steps = ["accepted", "sent", "from", "failed", "failed", "sent", "from", "acked", "acked"]
    place = 0
    for step in steps:
        assert step in texts[place:], texts
        place = texts.index(step, place) + len(step)
    assert {entry["_SYSTEMD_UNIT"] for entry in entries} == {"ackgroup-client.service", "ackgroup-receiver@1.service"}
    assert all(len(entry["MESSAGE_ID"]) == 32 for entry in entries)
    assert {entry["ACKGROUP_RECEIVER"] for entry in entries if "ACKGROUP_RECEIVER" in entry} == {f"1@{host.release}"}
    assert {entry.get("ACKGROUP_ATTEMPT") for entry in entries} >= {"1", "2"}


def test_the_journal_explains(host):
    host.systemctl("start", "ackgroup-receiver@1.service")
    message = host.run("ackctl", "send", "--to", "1", "--no-wait", "x").strip()
    host.run("ackctl", "wait", message)
    text = host.run("journalctl", "--no-pager", "-x", f"ACKGROUP_MESSAGE={message}")
    assert "Subject: A message was accepted" in text and f"ackctl trace {message}" in text
    assert "Subject: A message was processed and acked" in text
    text = host.run("env", "LANG=pt_BR.UTF-8", "journalctl", "--no-pager", "-x", f"ACKGROUP_MESSAGE={message}")
    assert "Subject: Uma mensagem foi aceita" in text


def test_every_event_is_explained_in_both_languages(host):
    """The installed catalog has an entry for each id that the daemons log. Both files have the same ids."""
    directory = "/usr/lib/systemd/catalog/"
    ids = {name: set(host.run("sed", "-n", "s/^-- //p", directory + name).split())
           for name in ("ackgroup.catalog", "ackgroup.pt_BR.catalog")}
    logged = set()
    for program in "client", "receiver", "discovery":
        text = host.run("sh", "-c", f"grep -aoE '[0-9a-f]{{32}}' /usr/libexec/ackgroup/ackgroup-{program}")
        logged |= set(text.split())
    assert len(logged) > 20
    assert ids["ackgroup.catalog"] == ids["ackgroup.pt_BR.catalog"]
    assert ids["ackgroup.catalog"] <= logged
    known = host.run("journalctl", "--list-catalog")
    assert all(one in known for one in ids["ackgroup.catalog"])
