"""Completion of the command line in shells, made of its parser."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sidebyside.modes import MODES
from sidebyside.workloads.builtin import BUILTIN
from sidebyside.workloads.foreign import FOREIGN

FILES, VALUE = "files", "value"
"""What an argument takes that is any file, or something that nobody can offer."""


@dataclass(frozen=True, slots=True)
class Argument:
    """An option, or an argument by its position.

    Attributes
    ----------
    names : tuple of str
        Empty for one by its position.
    help : str
    takes : str or tuple of str
        The values that are offered: none for a switch, `FILES`, `VALUE`, or words.
    """

    names: tuple[str, ...]
    help: str
    takes: str | tuple[str, ...]


def commands_of(parser: argparse.ArgumentParser) -> dict[str, tuple[str, list[Argument]]]:
    """Return the help and the arguments of each command; those of none under an empty name."""
    found = {"": ("", list(_arguments(parser)))}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {each.dest: each.help or "" for each in action._choices_actions}
            for name, command in action.choices.items():
                found[name] = (helps.get(name, ""), list(_arguments(command)))
    return found


def _arguments(parser: argparse.ArgumentParser) -> Iterator[Argument]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            continue
        text = (action.help or "").replace("%(default)s", str(action.default)).replace("%%", "%")
        yield Argument(tuple(action.option_strings), text.replace("\n", " "), _taken(action))


def _taken(action: argparse.Action) -> str | tuple[str, ...]:
    if action.nargs == 0:
        return ()
    if action.choices is not None:
        return tuple(map(str, action.choices))
    if action.dest == "modes":
        return tuple(MODES)
    if action.dest in ("workload", "workloads"):
        return (*BUILTIN, *FOREIGN)
    files = re.search("FILE|DIR|FOLDER|json", str(action.metavar or "")) is not None
    return FILES if files else VALUE


def completion(parser: argparse.ArgumentParser, shell: str) -> str:
    """Return the program that completes the command line in a shell.

    Parameters
    ----------
    parser : ArgumentParser
    shell : {"bash", "zsh", "fish"}
    """
    return SHELLS[shell](parser.prog, commands_of(parser))


Commands = dict[str, tuple[str, list[Argument]]]


def _options(arguments: Sequence[Argument]) -> list[str]:
    return [name for each in arguments for name in each.names]


def _cases(arguments: Sequence[Argument]) -> list[str]:
    """Return a line for each option that takes something: what is offered after it."""
    lines = []
    for each in arguments:
        if each.names and each.takes:
            words = "" if isinstance(each.takes, str) else " ".join(each.takes)
            files = "1" if each.takes == FILES else ""
            lines.append(f'        {"|".join(each.names)}) words="{words}"; files={files};;')
    return lines


def _bash(program: str, commands: Commands) -> str:
    function = f"_{program}"
    lines = [
        f"# completion of {program} for bash",
        f"{function}() {{",
        '    local current="${COMP_WORDS[COMP_CWORD]}" last="${COMP_WORDS[COMP_CWORD-1]}"',
        '    local command="" words="" files="" each',
        '    for each in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do',
        f'        case "$each" in {"|".join(filter(None, commands))})',
        '            command="$each"; break;;',
        "        esac",
        "    done",
        '    case "$command" in',
    ]
    for name, (_, arguments) in commands.items():
        offered = _options(arguments)
        rest = [each for each in arguments if not each.names]
        if not name:
            offered += [each for each in commands if each]
        words = [
            *offered,
            *(word for each in rest if isinstance(each.takes, tuple) for word in each.takes),
        ]
        lines += [
            f'    "{name}")',
            f'        words="{" ".join(words)}"; files={"1" if rest else ""}',
            '        case "$last" in',
            *(f"    {line}" for line in _cases(arguments)),
            "        esac;;",
        ]
    lines += [
        "    esac",
        '    local before=""',
        '    if [[ "$last" == --modes && "$current" == *,* ]]; then',
        '        before="${current%,*},"',
        "    fi",
        '    COMPREPLY=($(compgen -P "$before" -W "$words" -- "${current#"$before"}"))',
        '    if [[ -n "$files" ]]; then COMPREPLY+=($(compgen -f -- "$current")); fi',
        "}",
        f"complete -o filenames -F {function} {program}",
    ]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _zsh(program: str, commands: Commands) -> str:
    def bare(text: str) -> str:
        return re.sub(r"[\[\]:\\]", " ", text)

    def specs(arguments: Sequence[Argument]) -> list[str]:
        found: list[str] = []
        rest = False  # several arguments by their position are one rule
        for each in arguments:
            takes = "_files" if each.takes == FILES else ""
            if isinstance(each.takes, tuple):
                takes = f"({' '.join(word.replace(':', chr(92) + ':') for word in each.takes)})"
            if not each.names and rest:
                continue
            if not each.names:
                rest = True
                # a name of ours, or a file
                many = f"{{_alternative 'names:name:{takes}' 'files:file:_files'}}"
                names = isinstance(each.takes, tuple)
                found.append(_quoted(f"*: :{many if names else '_files'}"))
            for name in each.names:
                value = f": :{takes}" if each.takes else ""
                found.append(_quoted(f"*{name}[{bare(each.help)}]{value}"))
        return found

    lines = [f"#compdef {program}", f"# completion of {program} for zsh", "", f"_{program}() {{"]
    lines += ["    local -a commands", "    commands=("]
    lines += [
        f"        {_quoted(f'{name}:{bare(text)}')}" for name, (text, _) in commands.items() if name
    ]
    lines += [
        "    )",
        "    local context state line",
        f"    _arguments -C {' '.join(specs(commands[''][1]))} '1: :->command' '*:: :->rest'",
        '    case "$state" in',
        "    command) _describe command commands;;",
        "    rest)",
        '        case "$line[1]" in',
    ]
    for name, (_, arguments) in commands.items():
        if name:
            lines.append(f"        {name}) _arguments {' '.join(specs(arguments))};;")
    lines += [
        "        esac;;",
        "    esac",
        "}",
        "",
        f'if [ "$funcstack[1]" = "_{program}" ]; then _{program} "$@"; '
        f"else compdef _{program} {program}; fi",
    ]
    return "\n".join(lines) + "\n"


def _fish(program: str, commands: Commands) -> str:
    lines = [f"# completion of {program} for fish"]
    for name, (text, arguments) in commands.items():
        when = f"__fish_seen_subcommand_from {name}" if name else "__fish_use_subcommand"
        if name:
            lines.append(
                f"complete -c {program} -f -n __fish_use_subcommand -a {name} -d {_quoted(text)}"
            )
        for each in arguments:
            parts = [f"complete -c {program} -n {_quoted(when)}"]
            for option in each.names:
                parts.append(f"-l {option[2:]}" if option.startswith("--") else f"-s {option[1:]}")
            if each.takes and isinstance(each.takes, tuple):
                parts.append(f"-a {_quoted(' '.join(each.takes))}")
            if each.names and each.takes:
                parts.append("-r")
            if each.names or len(parts) > 1:
                lines.append(" ".join([*parts, f"-d {_quoted(each.help)}"]))
    return "\n".join(lines) + "\n"


SHELLS = {"bash": _bash, "zsh": _zsh, "fish": _fish}
"""Shells that can complete, and what writes the program for each."""
