# SPDX-License-Identifier: LGPL-2.1-or-later
# Completion of ackctl for bash; receivers and messages come live from the bus.

_ackctl_receivers() {
    ackctl "${bus[@]}" list --json=short 2>/dev/null | tr '{,' '\n\n' | sed -n "s/^\"$1\":\"\\([^\"]*\\)\".*/\\1/p" | sort -u
}

_ackctl_messages() {
    ackctl "${bus[@]}" messages --no-legend --limit 50 2>/dev/null | cut -d' ' -f1
}

_ackctl() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} verb='' i
    local verbs='list send messages show wait cancel trace why dead drain resume monitor status help'
    local everywhere='--json --no-legend --system --user --host --machine --no-ask-password --help --version'
    local states='delayed queued bound sent waiting gathering cancelling giving-up acked rejected cancelled dead'
    local -a bus=()
    local -A options=(
        [list]='--group --label --all' [send]='--to --any --all --quorum --key --group --label --include-plain --follow-joins --in --at --deadline
            --max-attempts --ack-timeout --backoff --backoff-max --priority --idempotency-key --durability --file --lines --null --no-wait --timeout'
        [messages]='--state --limit --all' [wait]='--timeout' [show]='' [cancel]='' [trace]='' [why]='' [dead]='--all' [drain]='' [resume]='' [monitor]='' [status]='' [help]=''
    )

    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            --user | --system) bus+=("${COMP_WORDS[i]}") ;;
            *) [[ -z $verb && -v options[${COMP_WORDS[i]}] ]] && verb=${COMP_WORDS[i]} ;;
        esac
    done
    # "--json=short" is three words to bash.
    [[ $word == = ]] && word=''
    [[ $before == = ]] && before=${COMP_WORDS[COMP_CWORD - 2]}

    case $before in
        --to) COMPREPLY=($(compgen -W "$(_ackctl_receivers name)" -- "$word")) ;;
        --group | -g) COMPREPLY=($(compgen -W "$(_ackctl_receivers group)" -- "$word")) ;;
        --state) COMPREPLY=($(compgen -W "$states" -- "$word")) ;;
        --json) COMPREPLY=($(compgen -W 'short pretty off' -- "$word")) ;;
        --durability) COMPREPLY=($(compgen -W 'durable memory' -- "$word")) ;;
        --file | -f) COMPREPLY=($(compgen -f -- "$word")) ;;
        --host | -H) COMPREPLY=($(compgen -A hostname -- "$word")) ;;
        --label | -l | --timeout | -t | --limit | -n | --machine | -M) COMPREPLY=() ;;
        *)
            case $word:$verb in
                -*:*) COMPREPLY=($(compgen -W "${options[${verb:-help}]} $everywhere" -- "$word")) ;;
                *:) COMPREPLY=($(compgen -W "$verbs" -- "$word")) ;;
                *:show | *:wait | *:cancel | *:trace | *:why) COMPREPLY=($(compgen -W "$(_ackctl_messages)" -- "$word")) ;;
                *:drain | *:resume) COMPREPLY=($(compgen -W "$(_ackctl_receivers name)" -- "$word")) ;;
                *:dead) COMPREPLY=($(compgen -W "list show retry purge $(_ackctl_messages)" -- "$word")) ;;
                *:help) COMPREPLY=($(compgen -W "$verbs" -- "$word")) ;;
                *) COMPREPLY=() ;;
            esac
            ;;
    esac
}

complete -F _ackctl ackctl
