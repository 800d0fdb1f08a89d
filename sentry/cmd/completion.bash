# bash completion for sbx
_sbx() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
	if [ "$COMP_CWORD" = 1 ]; then
		COMPREPLY=($(compgen -W "run debug syscalls version install uninstall --help" -- "$cur"))
		return
	fi
	case $prev in
	--network) COMPREPLY=($(compgen -W "none loopback nat host-veth:" -- "$cur")); return ;;
	--platform) COMPREPLY=($(compgen -W "systrap ptrace" -- "$cur")); return ;;
	--rootfs|-w) COMPREPLY=($(compgen -d -- "$cur")); return ;;
	--log) COMPREPLY=($(compgen -f -- "$cur")); return ;;
	esac
	case $cur in
	-*) COMPREPLY=($(compgen -W "--rootfs --platform -v -e -w -u -i -t --hostname --network -p --dns --add-host --allow --deny --rate --pcap --memory --cpus --pids --files --timeout --read-only --strace --log --debug --stats --help" -- "$cur")) ;;
	*) COMPREPLY=($(compgen -c -- "$cur")) ;;
	esac
}
complete -o default -F _sbx sbx
