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

_ackctl_messages() {
    local -a bus lines ids
    local line
    _ackctl_bus
    lines=(${(f)"$(ackctl $bus messages --no-legend --limit 50 2>/dev/null)"})
    for line in $lines; do ids+=("${line%% *}:${${line#* }## #}"); done
    _describe -t messages message ids
}

_ackctl_dead() {
    if (( CURRENT == 2 )); then
        _values command 'list[show the dead letters]' 'show[all about one]' 'retry[try it again]' 'purge[forget it]'
    else
        _ackctl_messages
    fi
}

_ackctl() {
    local curcontext=$curcontext state line
    local -a verbs everywhere own selection
    verbs=(
        'list:show the receivers' 'send:send a message and wait for its ack' 'messages:show messages, the newest first'
        'show:show all about a message' 'wait:wait for messages that were sent' 'cancel:take messages back'
        'trace:show every attempt of a message' 'why:say why a message is not done yet' 'dead:look after dead letters'
        'drain:send a receiver nothing new' 'resume:end a drain' 'monitor:watch what happens'
        'status:show how the client is' 'help:explain a verb'
    )
    everywhere=(
        '--json=[for programs]:mode:(short pretty off)' '--no-legend[no titles and no sums]'
        "--system[the system's client]" "--user[the client of this user's session]"
        '(-H --host)'{-H,--host=}'[on another host, over SSH]:host:_hosts'
        '(-M --machine)'{-M,--machine=}'[in a local container]:container:'
        '--no-ask-password[never ask for a password]' '(-h --help)'{-h,--help}'[explain]' '--version[which ackctl this is]'
    )
    selection=(
        '(-g --group)'{-g,--group=}'[only of this group]:group:_ackctl_groups'
        '*'{-l,--label=}'[only with this label]:label:'
    )

    _arguments -C $everywhere '1:verb:->verb' '*::argument:->argument' && return
    case $state in
        verb) _describe -t verbs verb verbs ;;
        argument)
            case $words[1] in
                send)
                    own=($selection
                        '--to=[this one]:receiver:_ackctl_receivers' '--any[whoever has room]'
                        '(-a --all)'{-a,--all}'[every receiver]' '--quorum=[done when so many have acked]:number:'
                        '--key=[in order]:key:' '--include-plain[receivers of bare text, too]'
                        '--follow-joins[those that join later, too]' '--in=[not before this time is over]:time:'
                        '--at=[not before then]:time:' '--deadline=[dead then]:time:' '--max-attempts=[dead after]:number:'
                        '--ack-timeout=[no ack for so long: once more]:time:' '--backoff=[pause after a failure]:time:'
                        '--backoff-max=[but not beyond this]:time:' '--priority=[9 goes first]:priority:({0..9})'
                        '--idempotency-key=[sent twice, it is one message]:key:'
                        '(-f --file)'{-f,--file=}'[the message]:file:_files' '--no-wait[print the id and do not wait]'
                        '--lines[every line of the input is a message]' '--null[with --lines: ended by NUL]'
                        '--durability=[where it is accepted]:how:(durable memory)'
                        '(-t --timeout)'{-t,--timeout=}'[wait so long at most]:time:' '1:message:( )')
                    ;;
                list) own=($selection) ;;
                messages)
                    own=('*--state=[only in this state]:state:(delayed queued bound sent waiting gathering cancelling giving-up
                            acked rejected cancelled dead)'
                        '(-n --limit)'{-n,--limit=}'[so many]:number:' '(-a --all)'{-a,--all}'[all that are on disk]')
                    ;;
                wait) own=('(-t --timeout)'{-t,--timeout=}'[wait so long at most]:time:' '*:message:_ackctl_messages') ;;
                show | cancel | trace | why) own=('*:message:_ackctl_messages') ;;
                drain | resume) own=('*:receiver:_ackctl_receivers') ;;
                dead) own=('(-a --all)'{-a,--all}'[every dead letter]' '*: :_ackctl_dead') ;;
                help) own=('1:verb:(${verbs%%:*})') ;;
            esac
            _arguments $everywhere $own
            ;;
    esac
}

_ackctl "$@"
