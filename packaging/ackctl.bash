# SPDX-License-Identifier: LGPL-2.1-or-later
# Completion of ackctl for bash; receivers and messages come live from the bus.

_ackctl_receivers() {
    ackctl "${bus[@]}" list --json=short 2>/dev/null | tr '{,' '\n\n' | sed -n "s/^\"$1\":\"\\([^\"]*\\)\".*/\\1/p" | sort -u
}

# KEY=VALUE of each label.
_ackctl_labels() {
    ackctl "${bus[@]}" list --json=short 2>/dev/null | tr '}' '\n' | sed -n 's/.*"labels":{//p' | tr ',' '\n' |
        sed -n 's/^"\([^"]*\)":"\([^"]*\)"$/\1=\2/p' | sort -u
}

_ackctl_containers() {
    machinectl list --no-legend --no-pager 2>/dev/null | cut -d' ' -f1
}

# Arguments: a verb that lists messages, and its options.
_ackctl_messages() {
    ackctl "${bus[@]}" "$@" --no-legend 2>/dev/null | cut -d' ' -f1
}

_ackctl() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} verb='' command='' key='' i
    local verbs='list send messages show wait cancel trace why dead drain resume monitor status help'
    local everywhere='--json -j --no-legend --no-pager --system --user --host --machine --no-ask-password --help --version'
    local -a open=(delayed queued bound sent waiting gathering cancelling giving-up)
    local -a bus=()
    local -A options=(
        [list]='--group --label --all' [send]='--to --any --all --quorum --key --group --label --include-plain --follow-joins --in --at --deadline
            --max-attempts --ack-timeout --backoff --backoff-max --priority --idempotency-key --durability --file --lines --null --no-wait --timeout'
        [messages]='--state --limit --all' [wait]='--timeout' [show]='' [cancel]='' [trace]='' [why]='' [dead]='--all' [drain]='' [resume]='' [monitor]='' [status]='' [help]=''
    )

    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            --user | --system) bus+=("${COMP_WORDS[i]}") ;;
            list | show | retry | purge) [[ $verb == dead ]] && command=${COMP_WORDS[i]} ;;&
            *) [[ -z $verb && -v options[${COMP_WORDS[i]}] ]] && verb=${COMP_WORDS[i]} ;;
        esac
    done
    # "--json=short" is three words to bash, and "--label zone=a" four.
    i=COMP_CWORD-1
    [[ $word == = ]] && word='' && i=COMP_CWORD
    [[ ${COMP_WORDS[i]} == = ]] && before=${COMP_WORDS[i - 1]}
    if [[ ${COMP_WORDS[i]} == = && $before != -* ]]; then
        key=$before=
        before=${COMP_WORDS[i - 2]}
        [[ $before == = ]] && before=${COMP_WORDS[i - 3]}
    fi

    case $before in
        --to) COMPREPLY=($(compgen -W "$(_ackctl_receivers name)" -- "$word")) ;;
        --group | -g) COMPREPLY=($(compgen -W "$(_ackctl_receivers group)" -- "$word")) ;;
        --state) COMPREPLY=($(compgen -W "${open[*]} acked rejected cancelled dead" -- "$word")) ;;
        --json) COMPREPLY=($(compgen -W 'short pretty off' -- "$word")) ;;
        --durability) COMPREPLY=($(compgen -W 'durable memory' -- "$word")) ;;
        --file | -f) COMPREPLY=($(compgen -f -- "$word")) ;;
        --host | -H) COMPREPLY=($(compgen -A hostname -- "$word")) ;;
        --machine | -M) COMPREPLY=($(compgen -W "$(_ackctl_containers)" -- "$word")) ;;
        --label | -l)
            COMPREPLY=($(compgen -W "$(_ackctl_labels)" -- "$key$word"))
            COMPREPLY=("${COMPREPLY[@]#"$key"}")
            ;;
        --timeout | -t | --limit | -n) COMPREPLY=() ;;
        *)
            case $word:$verb in
                -*:*) COMPREPLY=($(compgen -W "${options[${verb:-help}]} $everywhere" -- "$word")) ;;
                *:) COMPREPLY=($(compgen -W "$verbs" -- "$word")) ;;
                *:show | *:trace | *:why) COMPREPLY=($(compgen -W "$(_ackctl_messages messages)" -- "$word")) ;;
                *:wait | *:cancel)
                    COMPREPLY=($(compgen -W "$(_ackctl_messages messages "${open[@]/#/--state=}")" -- "$word"))
                    ;;
                *:drain | *:resume) COMPREPLY=($(compgen -W "$(_ackctl_receivers name)" -- "$word")) ;;
                *:dead)
                    if [[ -z $command ]]; then
                        COMPREPLY=($(compgen -W 'list show retry purge' -- "$word"))
                    elif [[ $command != list ]]; then
                        COMPREPLY=($(compgen -W "$(_ackctl_messages dead list)" -- "$word"))
                    fi
                    ;;
                *:help) COMPREPLY=($(compgen -W "$verbs" -- "$word")) ;;
                *) COMPREPLY=() ;;
            esac
            ;;
    esac
}

complete -F _ackctl ackctl
