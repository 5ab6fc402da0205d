# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the tmk authors
# shellcheck shell=bash
#
# Completion of tmkctl's words for bash.

# The paths of the cgroups that tmk knows of.
_tmkctl_cgroups() {
	cat "${TMK_SYSFS:-/sys/kernel/tmk}"/cgroups/*/path 2>/dev/null
}

_tmkctl() {
	local cur=${COMP_WORDS[COMP_CWORD]}
	local prev=${COMP_WORDS[COMP_CWORD - 1]}
	local object="" command="" word words
	local i args=0

	case $prev in
	--sysfs | --root)
		mapfile -t COMPREPLY < <(compgen -d -- "$cur")
		return
		;;
	--watch | -w) return ;;
	esac
	# Which object, command and how many arguments stand before the word?
	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		case $word in
		--sysfs | --root | --watch | -w) i=$((i + 1)) ;;
		-*) ;;
		*)
			if [ -z "$object" ]; then
				object=$word
			elif [ "$object" = limit ] && [ -z "$command" ]; then
				command=$word
			else
				args=$((args + 1))
			fi
			;;
		esac
	done
	if [[ $cur == -* ]]; then
		case ${object:-status}${command:+ $command} in
		status) words="--json --pretty --watch --sysfs --help" ;;
		"limit set") words="--sysfs --help" ;;
		replay) words="--strict --help" ;;
		*) words="--json --pretty --sysfs --help" ;;
		esac
	else
		case $object${command:+ $command} in
		"") words="status limit replay doctor version help" ;;
		limit) words="get set" ;;
		help) words="status limit replay doctor version" ;;
		replay)
			mapfile -t COMPREPLY < <(compgen -f -- "$cur")
			return
			;;
		"limit get" | "limit set")
			if [ $args = 0 ]; then
				mapfile -t COMPREPLY < <(compgen -W "$(_tmkctl_cgroups)" -- "$cur")
				return
			fi
			[ "$command" = get ] || words="max= physical_max="
			compopt -o nospace 2>/dev/null
			;;
		esac
	fi
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}

complete -F _tmkctl tmkctl
