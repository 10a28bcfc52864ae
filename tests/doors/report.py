"""What the matrix prints: a table for each server and setting, and the lists of what is wrong or worth a look."""

from itertools import groupby

from .clients import CLIENTS
from .verdict import LET_IN, NO_ANSWER, SHUT_OUT, WRONG

# behind a status in a table
MARKS = {None: ' ', LET_IN: '!', SHUT_OUT: '!', NO_ANSWER: '?'}
TITLES = {
    'default': 'by default',
    'secret': 'with cron.secret',
    'unchecked': 'with cron.peer_check = off',
}


def print_tables(cells):
    for (server, setting), group in groupby(cells, key=lambda cell: (cell.server, cell.setting)):
        names = [client.name for client in CLIENTS[setting]]
        print(f'\n{server}, {TITLES[setting]}')
        print(' ' * 20 + ''.join(f'{name:>10}' for name in names))
        for front, row in groupby(group, key=lambda cell: cell.front):
            statuses = {cell.client.name: f'{cell.status or "---"}{MARKS.get(cell.finding(), "*")}' for cell in row}
            print(f'{front:20}' + ''.join(f'{statuses.get(name, ""):>10}' for name in names))


def print_lists(result):
    """Print the findings, the wrong ones last."""
    cells = result['cells']
    found = {cell.finding() for cell in cells} - {None}
    for finding in sorted(found, key=lambda name: (name in WRONG, name)):
        chosen = [cell for cell in cells if cell.finding() == finding]
        print(f'\n{finding}{" (wrong)" if finding in WRONG else ""}: {len(chosen)} requests')
        for (setting, server, front), group in groupby(
            chosen, key=lambda cell: (cell.setting, cell.server, cell.front)
        ):
            clients = ', '.join(f'{cell.client.name} {cell.status}' for cell in group)
            print(f'  {TITLES[setting]}: {server} behind {front}: {clients}')
    print('\nthe port of the client as each server sets it')
    for server, port in result['ports'].items():
        print(f'  {server}: {port}')
    if result['attacks']:
        print('\nattacks on the look-up of accounts by a stranger, while the server has connections to another service')
        for server, attacks in result['attacks'].items():
            for name, connection in attacks.items():
                within = 'not let in' if connection is None else f'let in within {connection} connections (wrong)'
                print(f'  {server}, {name}: {within}')
    for kind in ('servers', 'fronts', 'settings'):
        for name, why in result['left out'][kind].items():
            print(f'left out: {name}: {why}')
    for name, why in result['not started'].items():
        print(f'not started (wrong): {name}: {why}')
    wrong = ', '.join(f'{name} {number}' for name, number in result['wrong'].items()) or 'nothing'
    print(
        f'\n{result["requests"]} requests to {result["set-ups"]} set-ups in {result["seconds"]} seconds; wrong: {wrong}'
    )


def as_json(result):
    cells = [
        {
            'server': cell.server,
            'front': cell.front,
            'setting': cell.setting,
            'client': cell.client.name,
            'account': cell.client.account,
            'status': cell.status,
            'finding': cell.finding(),
        }
        for cell in result['cells']
    ]
    return result | {'cells': cells}
