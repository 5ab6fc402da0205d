# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the tmk authors
# shellcheck shell=bash
#
# What the scripts share. Source it; it changes to the top of the tree.

TMK_TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$TMK_TOP" || exit 1

say() { printf '%s\n' "$*"; }
die() {
	printf '%s: %s\n' "$(basename "$0")" "$*" >&2
	exit 1
}

# META's value for a key.
meta() { sed -n "s/^$1: *//p" "$TMK_TOP/META"; }

# The kernel series that are supported, oldest first.
kernels() { printf '%s %s\n' "$(meta Kernel-Min)" "$(meta Kernel-Max)"; }

# Whether a series is one of them; the script ends if not.
kernel_known() {
	case " $(kernels) " in
	*" $1 "*) ;;
	*) die "there is no kernel $1 here, only $(kernels)" ;;
	esac
}

apt_log=$TMK_TOP/build/log/apt.log

# Run an apt-get command, as root or through sudo, asking nothing. What it
# prints goes to the log.
apt_as_root() {
	local -a run=(env DEBIAN_FRONTEND=noninteractive apt-get -q "$@")

	mkdir -p "$(dirname "$apt_log")"
	[ "$(id -u)" = 0 ] || run=(sudo -n "${run[@]}")
	"${run[@]}" </dev/null >>"$apt_log" 2>&1
}

# Whether apt_as_root can work at all.
may_install() {
	[ "$(id -u)" = 0 ] ||
		{ command -v sudo >/dev/null && sudo -n true 2>/dev/null; }
}

# Print those of the named packages that are not installed.
packages_missing() {
	# The status of a package that dpkg never heard of is not printed at all.
	# shellcheck disable=SC2016 # dpkg's variables
	dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null |
		sed -n 's/^installed //p' | sort -u |
		comm -13 - <(printf '%s\n' "$@" | sort -u)
}

# Install what is missing of the named packages; silent when nothing is.
packages_need() {
	local -a missing

	mapfile -t missing < <(packages_missing "$@")
	[ ${#missing[@]} != 0 ] || return 0
	may_install ||
		die "these packages are missing: ${missing[*]}." \
			"Run me as root, or where sudo asks for no password," \
			"or install them: apt-get install ${missing[*]}"
	say "installing with apt: ${missing[*]}"
	apt_as_root update || apt_failed "apt-get update failed"
	apt_as_root install -y --no-install-recommends "${missing[@]}" ||
		apt_failed "apt could not install: ${missing[*]}"
}

apt_failed() {
	tail -n 5 "$apt_log" >&2
	die "$* (see $apt_log)"
}
