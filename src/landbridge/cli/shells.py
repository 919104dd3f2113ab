"""`completion`: the scripts by which bash, zsh and fish ask `landbridge __complete` what may come next."""

from __future__ import annotations

from landbridge.cli.flags import Flag
from landbridge.cli.outcome import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from landbridge.cli.flags import Parsed
    from landbridge.cli.session import Session

BASH = r"""# Completion of landbridge for bash: source this, or put it into /etc/bash_completion.d/landbridge
_landbridge() {
    local line=${COMP_LINE:0:COMP_POINT} word text keep
    local -a words
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    # Readline puts the answer after the last = or : of the word, which it takes for a word's end.
    keep=${words[-1]}
    keep=${keep%"${keep##*[=:]}"}
    COMPREPLY=()
    while IFS=$'\t' read -r word text; do
        COMPREPLY+=("${word#"$keep"}")
    done < <(command "${words[0]}" __complete "${words[@]:1}" 2>/dev/null)
    [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *[=:/] ]] && compopt -o nospace
}
complete -o bashdefault -o default -F _landbridge landbridge
"""

ZSH = r"""#compdef landbridge
# Completion of landbridge for zsh: source this, or put it into a directory of $fpath as _landbridge
_landbridge() {
    local -a found
    local word text
    while IFS=$'\t' read -r word text; do
        found+=("${word//:/\\:}${text:+:$text}")
    done < <(command "$words[1]" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)
    if (( $#found )); then
        _describe landbridge found
    else
        _files
    fi
}
if [[ $funcstack[1] == _landbridge ]]; then
    _landbridge
else
    compdef _landbridge landbridge
fi
"""

FISH = r"""# Completion of landbridge for fish: source this, or put it into ~/.config/fish/completions/landbridge.fish
function __landbridge_complete
    set -l words (commandline -opc) (commandline -ct)
    command $words[1] __complete $words[2..-1] 2>/dev/null
end
complete -c landbridge -a '(__landbridge_complete)'
"""

SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}


def completion(session: Session, flags: Parsed) -> None:
    """Print the script. Raises: CommandError for a shell there is none for."""
    shell = flags.args[0]
    if shell not in SCRIPTS:
        raise CommandError(f'there is no completion for "{shell}", only for {", ".join(SCRIPTS)}')
    script = SCRIPTS[shell]
    if flags["no-descriptions"]:
        script = script.replace("__complete ", "__complete --no-descriptions ")
    session.write(script)


COMMANDS = {"completion": ((Flag("no-descriptions", "", "bool", "Complete words without what they mean"),), completion)}
