# Shared by the scripts of this folder: sourced, never run.

section() { printf '\n=== %s\n' "$*"; }
note()    { printf '    %s\n' "$*"; }
die()     { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# have COMMAND: the command is on the path. Debian keeps administrators' commands in sbin, which an ordinary user's path lacks.
PATH="$PATH:/usr/local/go/bin:/usr/local/sbin:/usr/sbin:/sbin"
have() { command -v "$1" >/dev/null 2>&1; }

# postgres_bin: prints the folder of the newest installed PostgreSQL, or fails.
postgres_bin() {
	local dir
	dir=$(find /usr/lib/postgresql /usr/pgsql-* /usr/local/pgsql -maxdepth 3 -name postgres -path '*/bin/*' 2>/dev/null |
		sort -V | tail -n 1)
	[ -n "$dir" ] || return 1
	dirname "$dir"
}

# need_go: Go 1.21 is the first version that fetches by itself the toolchain that go.mod names.
need_go() {
	have go || die "Go is missing; install Go 1.21 or newer from https://go.dev/dl/ and put its bin folder on the path"
	local v major minor
	v=$(GOTOOLCHAIN=local go env GOVERSION 2>/dev/null) || v=$(go version | awk '{print $3}')
	v=${v#go}
	major=${v%%.*}
	minor=${v#*.}
	minor=${minor%%[!0-9]*}
	if [ "$major" -lt 1 ] || { [ "$major" -eq 1 ] && [ "$minor" -lt 21 ]; }; then
		die "Go $v is too old to fetch the version that go.mod names; install Go 1.21 or newer from https://go.dev/dl/"
	fi
}

# apt_install PACKAGE...: installs without starting any service and without creating a PostgreSQL cluster: what a package starts by itself would take
# the ports, and its data folder would be one that nobody asked for. Both guards go again. Needs root and Debian or Ubuntu.
apt_install() (
	policy=/usr/sbin/policy-rc.d
	nocluster=/etc/postgresql-common/createcluster.d/quorate.conf
	trap 'rm -f "${made[@]}"' EXIT
	made=("$nocluster")
	mkdir -p "${nocluster%/*}"
	printf 'create_main_cluster = false\n' >"$nocluster"
	if [ ! -e "$policy" ]; then
		made+=("$policy")
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		chmod 755 "$policy"
	fi
	export DEBIAN_FRONTEND=noninteractive
	opts=(-y -q --no-install-recommends -o Dpkg::Options::=--force-confold)
	# The package index of a fresh machine is empty or old, so a first failure is no verdict.
	apt-get install "${opts[@]}" "$@" >/dev/null 2>&1 ||
		{ apt-get update -q >/dev/null && apt-get install "${opts[@]}" "$@" >/dev/null; }
)

# bare_debian FOLDER: a Debian 12 with nothing but its certificates, unpacked. Its tar is kept for a week, since it takes minutes to make. Needs root.
bare_debian() {
	local tar=${QUORATE_DEBOOTSTRAP:-/var/tmp/quorate-debootstrap-bookworm.tar}
	mkdir -p "$1"
	if [ -s "$tar" ] && [ -z "$(find "$tar" -mtime +7)" ]; then
		tar -C "$1" -xf "$tar"
		return
	fi
	have debootstrap || apt_install debootstrap
	debootstrap --variant=minbase --include=ca-certificates bookworm "$1" >"$1.log" 2>&1 || { tail "$1.log"; die "debootstrap failed"; }
	rm "$1.log"
	tar -C "$1" -cf "$tar.$$" . && mv "$tar.$$" "$tar"
}
