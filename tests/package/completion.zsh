# The completion for zsh in a terminal of zsh's own: completion.zsh DIRECTORY LINE WORD... where pressing Tab or Ctrl-D behind LINE
# must show each WORD.
zmodload zsh/zpty || exit 77
directory=$1 line=$2
shift 2
zpty terminal zsh -f -i
zpty -w terminal "unset zle_bracketed_paste; fpath=(${(q)directory} \$fpath); autoload -Uz compinit; compinit -u -D; \
bindkey '^D' list-choices; PROMPT=REA''DY:"
zpty -r -m terminal shown '*READY:*' || exit 1
zpty -w -n terminal "$line"$'\x04'
for word in "$@"; do # in the order of the list
    zpty -r -m terminal shown "*$word*" || exit 1
done
zpty -d terminal
