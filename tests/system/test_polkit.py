# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who may do what on the system bus: with polkit, with a rule of the administrator, with a password, and without
polkit."""

import pytest

from host import wait_until

RULES = "/etc/polkit-1/rules.d/50-test.rules"
RULE = """polkit.addRule(function (action, subject) {
    if (action.id == "org.ackgroup.client1.send" && subject.isInGroup("operators"))
        return polkit.Result.YES;
});
"""
# A session with a terminal, as somebody has who has logged in.
DIALOGUE = """
set timeout 60
spawn systemd-run --quiet --pty --wait -p PAMName=login -p User=sender -p Environment=LANG={} ackctl send --any asked
expect "org.ackgroup.client1.send"
expect "{}"
expect "chief"
expect ": "
# What is typed before the agent has switched the echo off is thrown away.
set timeout 3
for {{set i 0}} {{$i < 20}} {{incr i}} {{
    send "secret\\r"
    expect "acked" break
}}
set timeout 60
expect eof
exit [lindex [wait] 3]
"""


@pytest.fixture(scope="module", autouse=True)
def users(host):
    """anybody: in no group. sender: in a group that a rule may name. member: in our group. chief: may become root."""
    host.systemctl("start", "ackgroup-receiver@1.service")
    host.run("groupadd", "operators")
    for name, group in ("anybody", None), ("sender", "operators"), ("member", "ackgroup"), ("chief", "sudo"):
        host.run("useradd", "--create-home", *(["--groups", group] if group else []), name)
    host.run("chpasswd", stdin="chief:secret\n")


@pytest.fixture(scope="module")
def message(host):
    return host.run("ackctl", "send", "--to", "1", "as root", "--no-wait").strip()


@pytest.fixture(scope="module")
def dead_letter(host):
    m = host.run("ackctl", "send", "--any", "--group", "nobody", "--deadline", "1s", "as root", "--no-wait").strip()
    host.run("ackctl", "wait", m, check=False)
    assert host.status == 3
    return m


def refused(host, user, *words, action="send"):
    text = host.as_user(user, "ackctl", *words, check=False)
    return host.status == 1 and f"org.ackgroup.client1.{action}" in text and "the group ackgroup" in text \
        and "ackctl(1)" in text


def test_everybody_may_look(host, message):
    for words in (["list"], ["messages"], ["status"], ["wait", message], ["show", message], ["why", message],
                  ["trace", message], ["dead", "list"]):
        host.as_user("anybody", "ackctl", *words)


@pytest.mark.parametrize("action, words", [("send", ["send", "--any", "x"]), ("manage", ["drain", "1"]),
                                           ("manage", ["cancel", "MESSAGE"]), ("purge", ["dead", "purge", "DEAD"])])
def test_others_are_refused_and_told_what_to_do(host, message, dead_letter, action, words):
    assert refused(host, "anybody", *({"MESSAGE": message, "DEAD": dead_letter}.get(w, w) for w in words), action=action)


def test_the_sockets_are_for_the_group(host):
    """Registering, and the messages of a receiver."""
    for socket in "discovery.sock", "receiver/1.sock":
        command = ("curl", "-sS", "--max-time", "5", "--unix-socket", f"/run/ackgroup/{socket}", "http://localhost/v1/status")
        host.as_user("anybody", *command, check=False)
        assert host.status == 7  # not connected
    host.as_user("member", "curl", "-s", "--unix-socket", "/run/ackgroup/discovery.sock", "http://localhost/v1/status")


def test_the_group_may(host):
    host.as_user("member", "ackctl", "send", "--any", "a member")
    host.as_user("member", "ackctl", "drain", "1")
    host.as_user("member", "ackctl", "resume", "1")


def test_a_rule_allows_what_it_names(host):
    assert refused(host, "sender", "send", "--any", "x")
    host.write(RULES, RULE)
    try:
        wait_until(lambda: not refused(host, "sender", "send", "--any", "--no-wait", "x"), "polkit reads the rule")
        host.as_user("sender", "ackctl", "send", "--any", "by a rule")
        assert refused(host, "sender", "drain", "1", action="manage")
        assert refused(host, "anybody", "send", "--any", "x")
    finally:
        host.run("rm", RULES)
    wait_until(lambda: refused(host, "sender", "send", "--any", "--no-wait", "x"), "polkit forgets the rule")


@pytest.mark.parametrize("language, question", [("C.UTF-8", "Authentication is required to send messages."),
                                                ("pt_BR.UTF-8", "É necessária autenticação para enviar mensagens.")])
def test_a_password_is_asked_for_on_a_terminal(host, language, question):
    """As systemctl does it, in the language of the user: the agent runs in ackctl's terminal."""
    text = host.run("expect", "-c", DIALOGUE.format(language, question), check=False)
    assert host.status == 0 and question in text and "acked" in text, text


def test_without_polkit_only_root_and_the_group(host):
    host.systemctl("mask", "--now", "polkit.service")
    try:
        host.run("ackctl", "send", "--any", "root")
        host.as_user("member", "ackctl", "send", "--any", "a member")
        host.as_user("anybody", "ackctl", "list")
        for user in "anybody", "sender", "chief":
            assert refused(host, user, "send", "--any", "x")
            assert refused(host, user, "drain", "1", action="manage")
    finally:
        host.systemctl("unmask", "polkit.service")
