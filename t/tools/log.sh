# Logs of programs that end with tests; to be sourced.


# log_value FILE PATTERN: what is in brackets in the first line that matches.

log_value() {
    sed -nE "s|$2|\\1|p" "$1" | sed -n 1p
}


# log_failure FILE: why a program has failed: its last lines, then what failed
# tests have said.

log_failure() {
    {
        tail -n 20 "$1"
        log_tests "$1"
    } | sed 's/^/    /'

    echo "    see $1"
}

# log_tests FILE: what failed tests have said, and those that ended early.

log_tests() {
    {
        grep -E -A 6 '^ *# +Failed test' "$1" | head -n 60
        grep -E -B 20 '^ *# Looks like your test (exited|died)' "$1" |
            tail -n 60
    } || true
}
