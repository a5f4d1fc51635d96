# Debian's archives, as the machine's own apt settings name them; to be sourced.


# Prints "LABEL URI SUITE ENTRY" for each archive of Debian, where ENTRY is the
# file and the line of the settings: "Debian ... bookworm /etc/...:1".

debian_archives() {
    # shellcheck disable=SC2016
    apt-get indextargets \
        --format '$(LABEL) $(REPO_URI) $(RELEASE) $(SOURCESENTRY)' \
        'Created-By: Packages' 'Origin: Debian' 'Component: main' | sort -u
}


# debian_source deb|deb-src URI SUITE ENTRY: prints a paragraph of *.sources,
# trusted as that entry is.

debian_source() {
    echo "Types: $1"
    echo "URIs: $2"
    echo "Suites: $3"
    echo "Components: main"

    debian_signed_by "${4%:*}" "${4##*:}"

    echo
}


# Prints the Signed-By field of an entry, which begins at a line of a file and
# ends at the next empty line (*.sources) or is that line (*.list).

debian_signed_by() {
    if [ "${1%.sources}" = "$1" ]; then
        sed -n "$2s/^deb .*signed-by=\([^] ]*\).*/Signed-By: \1/p" "$1"
        return
    fi

    awk -v first="$2" '
        NR < first        { next }
        NR > first && /^[ \t]*$/ { exit }
        /^[^ \t]/         { field = (tolower($1) == "signed-by:") }
        field             { print }
    ' "$1"
}


# debian_private_apt DIR: sets the array debian_apt to options with which apt
# reads DIR/sources/*.sources only, and leaves the machine's settings alone.

debian_private_apt() {
    mkdir -p "$1"/sources "$1"/lists "$1"/cache
    chmod 755 "$1"

    debian_apt=(-o Dir::Etc::sourcelist=/dev/null
                -o Dir::Etc::sourceparts="$1/sources"
                -o Dir::Etc::preferences=/dev/null
                -o Dir::Etc::preferencesparts=/dev/null
                -o Dir::State::lists="$1/lists"
                -o Dir::Cache="$1/cache"
                -o APT::Update::Error-Mode=any)
}
