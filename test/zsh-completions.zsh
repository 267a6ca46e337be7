# What zsh offers for lines: an interactive shell on a terminal of its own is typed each line and a key that completes it. Arguments: the
# folder with the completion _dm-ulog; autoload or source; the file for what is offered, a word to a line, with END OF LINE after each
# line; the lines.

zmodload zsh/zpty || exit 2
export OFFERED=$3
zpty shell zsh -f -i
# Lines that are sent stand in the terminal's buffer until they are read: the shell needs no prompt that is waited for.
send() { zpty -w shell "$1" }
send "PS1= ; unsetopt list_beep; fpath=(${(q)1} \$fpath); autoload -Uz compinit; compinit -u -D"
if [[ $2 == source ]]; then send "source ${(q)1}/_dm-ulog"; fi
# The words that each call would add are found out beside it, except where the caller itself wants to know them.
send 'compadd() {
  if [[ $@[1,(i)(-|--)] != *-(O|A|D)\ * ]]; then local -a words; builtin compadd -O words "$@"; print -rl -- $words >>$OFFERED; fi
  builtin compadd "$@"
}'
send 'offer() { zle list-choices; print END OF LINE >>$OFFERED; zle kill-buffer }; zle -N offer; bindkey "^T" offer'
for line in "${@[4,-1]}"; do zpty -n -w shell "$line"$'\C-t'; done
send exit
while zpty -r shell line 2>/dev/null; do print -rn -- $line; done
exit 0
