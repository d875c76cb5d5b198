"""Writes down the options and arguments of patronictl's commands, for options-VERSION.txt: PYTHONPATH=PATRONI python3 options.py"""
import click

from patroni import ctl
from patroni.version import __version__

print('# patronictl %s: command, option or argument, what it takes. Made by options.py from patroni/ctl.py.' % __version__)
for name, command in [('-', ctl.ctl)] + sorted(ctl.ctl.commands.items()):
    for p in command.params:
        if isinstance(p, click.Argument):
            takes = 'any' if p.nargs == -1 else 'one' if p.required else 'optional'
            print(name, p.name.upper(), takes)
        else:
            takes = 'flag' if p.is_flag else 'many' if p.multiple else 'value'
            print(name, ','.join(p.opts), takes)
