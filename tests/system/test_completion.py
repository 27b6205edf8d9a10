# SPDX-License-Identifier: LGPL-2.1-or-later
"""Completion of ackctl in common shells, by the Tab key, as a person uses it."""

import pytest

SHELLS = {
    "bash": ("bash --norc --noprofile -i", "source /usr/share/bash-completion/bash_completion"),
    "zsh": ("zsh -f -i", "autoload -U compinit; compinit -u -d /tmp/zcompdump"),
}
# Behind the Tab the line gets an echo in front of it, so that the shell itself says what stands there.
TYPE = """
set timeout 20
set stty_init "columns 300"
spawn -noecho env TERM=dumb PS1=ready: {shell}
expect "ready:"
send "{begin}; echo be''gun\\r"
expect "begun"
expect "ready:"
send "{line}\\t"
after 100
send "\\001echo LI''NE: \\005\\r"
expect -re "LINE: (\\[^\\r\\n\\]*)"
puts "\\nRESULT $expect_out(1,string)"
send "exit\\r"
expect eof
"""


@pytest.fixture(scope="module")
def messages(host):
    """By the words that stand for them below: one that is acked, and a dead letter."""
    host.write("/etc/ackgroup/receiver@thumbnails.conf", "[Receiver]\nGroup=pictures\n")
    host.systemctl("start", "ackgroup-receiver@thumbnails.service")
    acked = host.run("ackctl", "send", "--to", "thumbnails", "--no-wait", "x").strip()
    dead = host.run("ackctl", "send", "--any", "--group", "nobody", "--deadline", "100ms", "--no-wait", "x").strip()
    host.run("ackctl", "wait", acked)
    host.run("ackctl", "wait", dead, check=False)
    assert host.status == 3
    yield {"MESSAGE": acked, "DEAD": dead}
    host.run("ackctl", "dead", "purge", dead)
    host.systemctl("stop", "ackgroup-receiver@*")


@pytest.mark.parametrize("line, completed", [
    ("ackctl mon", "ackctl monitor"),
    ("ackctl send --idem", "ackctl send --idempotency-key"),
    ("ackctl messages --state rej", "ackctl messages --state rejected"),
    ("ackctl drain thu", "ackctl drain thumbnails@HOST"),
    ("ackctl send --to thu", "ackctl send --to thumbnails@HOST"),
    ("ackctl list --group pic", "ackctl list --group pictures"),
    ("ackctl why MESSAGE", "ackctl why MESSAGE"),
    ("ackctl dead show DEAD", "ackctl dead show DEAD"),
])
@pytest.mark.parametrize("shell", SHELLS)
def test_tab(host, messages, shell, line, completed):
    program, begin = SHELLS[shell]
    for word, message in messages.items():
        line = line.replace(word, message[:8])
        completed = completed.replace(word, message)
    completed = completed.replace("HOST", host.release)
    text = host.run("expect", "-c", TYPE.format(shell=program, begin=begin, line=line))
    assert [t.split("RESULT ")[1].strip() for t in text.splitlines() if "RESULT " in t] == [completed], text
