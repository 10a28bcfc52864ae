"""Tables of TCP connections in the form of ``/proc/net/tcp``."""

from ipaddress import ip_address
from sys import byteorder

HEADING = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode'
PORT, SERVER_PORT = 4711, 6543
LOCAL, MAPPED = ip_address('127.0.0.1'), ip_address('::ffff:127.0.0.1')
STRANGER = 4_000_001


def end(address, port):
    words = [address.packed[i : i + 4] for i in range(0, len(address.packed), 4)]
    return ''.join(f'{int.from_bytes(word, byteorder):08X}' for word in words) + f':{port:04X}'


def line(uid, address=LOCAL, port=PORT, to=None, to_port=SERVER_PORT, state='01', inode=12345):
    ends = f'{end(address, port)} {end(to or address, to_port)}'
    return (
        f'  17: {ends} {state} 00000000:00000000 00:00000000 00000000 {uid:5d}        0 {inode} 1 0000000000000000 20 4'
    )
