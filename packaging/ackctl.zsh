#compdef ackctl
# SPDX-License-Identifier: LGPL-2.1-or-later
# Completion of ackctl for zsh; receivers, groups and messages come live from the bus.

_ackctl_bus() {
    bus=()
    (( ${words[(I)--user]} )) && bus+=(--user)
    (( ${words[(I)--system]} )) && bus+=(--system)
}

# $1: the field of the list.
_ackctl_field() {
    local -a bus found
    _ackctl_bus
    found=(${(fu)"$(ackctl $bus list --json=short 2>/dev/null | tr '{,' '\n\n' | sed -n "s/^\"$1\":\"\([^\"]*\)\".*/\1/p")"})
    compadd -a found
}

_ackctl_receivers() { _ackctl_field name }
_ackctl_groups() { _ackctl_field group }

# KEY=VALUE of each label.
_ackctl_labels() {
    local -a bus found
    _ackctl_bus
    found=(${(fu)"$(ackctl $bus list --json=short 2>/dev/null | tr '}' '\n' | sed -n 's/.*"labels":{//p' | tr ',' '\n' |
        sed -n 's/^"\([^"]*\)":"\([^"]*\)"$/\1=\2/p')"})
    compadd -a found
}

_ackctl_containers() {
    local -a found
    found=(${${(f)"$(machinectl list --no-legend --no-pager 2>/dev/null)"}%% *})
    compadd -a found
}

# Arguments: a verb that lists messages, and its options.
_ackctl_ids() {
    local -a bus lines ids
    local line
    _ackctl_bus
    lines=(${(f)"$(ackctl $bus $@ --no-legend 2>/dev/null)"})
    for line in $lines; do ids+=("${line%% *}:${${line#* }## #}"); done
    _describe -t messages message ids
}

_ackctl_messages() { _ackctl_ids messages }
_ackctl_open() { _ackctl_ids messages --state={delayed,queued,bound,sent,waiting,gathering,cancelling,giving-up} }

_ackctl_dead() {
    if (( CURRENT == 2 )); then
        _values command 'list[show the dead letters]' 'show[all about one]' 'retry[try it again]' 'purge[delete it]'
    elif [[ $words[2] != list ]]; then
        _ackctl_ids dead list
    fi
}

_ackctl() {
    local curcontext=$curcontext state line
    local -a verbs everywhere own selection
    verbs=(
        'list:show the receivers' 'send:send a message and wait for its ack' 'messages:show messages, the newest first'
        'show:show all about a message' 'wait:wait until messages are done' 'cancel:cancel messages'
        'trace:show every attempt of a message' 'why:say why a message is not done yet' 'dead:manage dead letters'
        'drain:send nothing new to a receiver' 'resume:end a drain' 'monitor:show events as they happen'
        'status:show the state of the client' 'help:explain a verb'
    )
    everywhere=(
        '--json=[for programs]:mode:(short pretty off)' '-j[as --json=pretty, or short]' '--no-legend[no titles and no totals]' '--no-pager[no pager]'
        "--system[the system's client]" "--user[the client of this user's session]"
        '(-H --host)'{-H,--host=}'[the client on another host, over SSH]:host:_hosts'
        '(-M --machine)'{-M,--machine=}'[the client in a local container]:container:_ackctl_containers'
        '--no-ask-password[never ask for a password]' '(-h --help)'{-h,--help}'[show the help]' '--version[show the version]'
    )
    selection=(
        '(-g --group)'{-g,--group=}'[only receivers of this group]:group:_ackctl_groups'
        '*'{-l,--label=}'[only receivers with this label]:label:_ackctl_labels'
    )

    _arguments -C $everywhere '1:verb:->verb' '*::argument:->argument' && return
    case $state in
        verb) _describe -t verbs verb verbs ;;
        argument)
            case $words[1] in
                send)
                    own=($selection
                        '--to=[this receiver]:receiver:_ackctl_receivers' '--any[one receiver with room]'
                        '(-a --all)'{-a,--all}'[every receiver]' '--quorum=[every receiver; done when so many have acked]:number:'
                        '--key=[same key: same receiver, in order]:key:' '--include-plain[also receivers of plain text]'
                        '--follow-joins[also receivers that join later]' '--in=[start when this time is over]:time:'
                        '--at=[start at this time]:time:' '--deadline=[dead after this time]:time:' '--max-attempts=[dead after this number of attempts]:number:'
                        '--ack-timeout=[send again if no ack comes in this time]:time:' '--backoff=[pause after a failure]:time:'
                        '--backoff-max=[the longest pause]:time:' '--priority=[a higher number goes first]:priority:({0..9})'
                        '--idempotency-key=[two messages with the same key are one]:key:'
                        '(-f --file)'{-f,--file=}'[send the content of this file]:file:_files' '--no-wait[print the id and do not wait]'
                        '--lines[send every line of the input as a message]' '--null[with --lines: NUL ends a message]'
                        '--durability=[durable, or memory]:how:(durable memory)'
                        '(-t --timeout)'{-t,--timeout=}'[wait no longer than this]:time:' '1:message:( )')
                    ;;
                list) own=($selection '(-a --all)'{-a,--all}'[also receivers that left]') ;;
                messages)
                    own=('*--state=[only messages in this state]:state:(delayed queued bound sent waiting gathering cancelling giving-up
                            acked rejected cancelled dead)'
                        '(-n --limit)'{-n,--limit=}'[how many messages]:number:' '(-a --all)'{-a,--all}'[all messages on disk]')
                    ;;
                wait) own=('(-t --timeout)'{-t,--timeout=}'[wait no longer than this]:time:' '*:message:_ackctl_open') ;;
                cancel) own=('*:message:_ackctl_open') ;;
                show | trace | why) own=('*:message:_ackctl_messages') ;;
                drain | resume) own=('*:receiver:_ackctl_receivers') ;;
                dead) own=('(-a --all)'{-a,--all}'[every dead letter]' '*: :_ackctl_dead') ;;
                help) own=('1:verb:(${verbs%%:*})') ;;
            esac
            _arguments $everywhere $own
            ;;
    esac
}

_ackctl "$@"
