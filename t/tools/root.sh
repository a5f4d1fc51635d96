# Root directories of Debian releases; to be sourced, after debian.sh.  But for
# become_root this needs root and a mount namespace.

# where in a root directory the work tree is
export copy=/usr/src/ngx_zertiban_module


# become_root "NAME ..." ARGUMENT ...: has the program begin anew as root, with
# these variables and those arguments, unless it is root.

become_root() {
    local set=()

    if [ "$(id -u)" -eq 0 ]; then
        return
    fi

    # shellcheck disable=SC2086
    keep_variables $1

    exec sudo -- env "${set[@]}" "$0" "${@:2}"
}

# sets the caller's "set" to what the environment has of these, and of proxies

keep_variables() {
    local name

    for name in "$@" http_proxy https_proxy no_proxy; do
        if [ -n "${!name:-}" ]; then
            set+=("$name=${!name}")
        fi
    done
}


# root_make DIR RELEASE[-ARCH]: has debootstrap make the least that can install
# packages, from where this machine's apt gets its own.

root_make() {
    rm -rf "$1.new"
    mkdir -p "${1%/*}"

    # with a caller that looks at the result, "set -e" ends nothing
    root_bootstrap "$1.new" "${2%%-*}" "$(root_arch "$2")" || return
    root_settings "$1.new" "${2%%-*}" || return

    mv "$1.new" "$1"
}

root_arch() {
    local arch=${1#"${1%%-*}"}

    echo "${arch#-}"
}

root_bootstrap() {
    local uri suite entry include=() script=()

    read -r uri suite entry < <(root_archives "$2") \
        || root_fail "apt knows no Debian archive, run apt-get update and see"

    if [ "${uri#https:}" != "$uri" ]; then
        include=(--include=ca-certificates)
    fi

    # all releases of recent years are made in the same way
    if [ ! -e "/usr/share/debootstrap/scripts/$2" ]; then
        script=(/usr/share/debootstrap/scripts/sid)
    fi

    debootstrap --variant=minbase "${include[@]}" \
        --keyring="$(root_keyring "$entry")" ${3:+--arch="$3"} \
        "$suite" "$1" "$uri" "${script[@]}"
}

# what apt in the root directory has to know of the machine's settings

root_settings() {
    local uri suite entry keyring

    rm -f "$1/etc/apt/sources.list"

    root_archives "$2" | while read -r uri suite entry; do
        debian_source deb "$uri" "$suite" "$entry"

        keyring=$(root_keyring "$entry")

        if [ ! -e "$1$keyring" ]; then
            mkdir -p "$1${keyring%/*}"
            cp "$keyring" "$1$keyring"
        fi

    done >"$1/etc/apt/sources.list.d/debian.sources"

    apt-config dump | grep -iE '^Acquire::(https?|check-|force|retries)' \
        >"$1/etc/apt/apt.conf.d/90machine" || true

    if [ -x "$1/usr/sbin/update-ca-certificates" ]; then
        cp -rL /usr/local/share/ca-certificates "$1/usr/local/share/"
        chroot "$1" update-ca-certificates
    fi
}

# "URI SUITE ENTRY" for each archive of the release, the release itself first

root_archives() {
    local uri suite entry

    debian_archives | while read -r _ uri suite entry; do
        suite=${suite#"${suite%%-*}"}

        case $suite in
            '' | -updates | -security) echo "$uri $1$suite $entry" ;;
        esac
    done | sort -u -k 2,2
}

# without one of its own, an entry is trusted as far as the machine's

root_keyring() {
    local file

    file=$(debian_signed_by "${1%:*}" "${1##*:}")
    file=${file#*: }

    if [ ! -f "$file" ]; then
        file=/usr/share/keyrings/debian-archive-keyring.gpg
    fi

    echo "$file"
}


# root_mount DIR: makes programs run in it, until the mount namespace ends.

root_mount() {
    mount -t proc proc "$1/proc"
    mount --rbind /dev "$1/dev"
    mount -t tmpfs tmpfs "$1/tmp"

    cp -L /etc/hosts /etc/resolv.conf "$1/etc/"
}


# root_copy DIR: puts the work tree into it.

root_copy() {
    rm -rf "$1$copy"
    mkdir -p "$1$copy"

    tar -c --exclude=./build --exclude=./.git . \
        | tar -x --no-same-owner -C "$1$copy"
}


# inside DIR COMMAND ...: runs it there, in the work tree if it has one.

inside() {
    local set=() folder=/

    keep_variables

    if [ -d "$1$copy" ]; then
        folder=$copy
    fi

    env -i HOME=/root LANG=C.UTF-8 "${set[@]}" \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        chroot "$1" env -C "$folder" "${@:2}"
}

# for shells with a network of their own
export -f inside keep_variables


root_fail() {
    echo "$*" >&2
    exit 1
}
