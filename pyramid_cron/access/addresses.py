"""Addresses of peers and networks, parsed strictly."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# the usual peers of the tick of each minute, parsed in advance
COMMON_ADDRESSES = {text: ip_address(text) for text in ('127.0.0.1', '::1')}
MAX_ADDRESS_LENGTH = 64


def parse_network(text: object) -> Network:
    """Parse the text of an address or network: ``10.1.2.3``, ``10.0.0.0/8``, ``fd00::/8``.

    :raises ValueError: if ``text`` is neither, has bits set after its prefix, or has a scope.
    """
    if not isinstance(text, str):
        raise ValueError(f'{text!r} is not the text of an address or network')
    if '%' in text:
        raise ValueError(f'{text} has a scope, and no peer with a scope is ever allowed')
    network = ip_network(text)
    if network.network_address.is_unspecified and network.num_addresses == 1:
        raise ValueError(f'{text} stands for no address; write {text}/0 for every address')
    if isinstance(network, IPv6Network) and network.network_address.ipv4_mapped:
        # parse_address() unwraps peers in the same way
        return IPv4Network((network.network_address.ipv4_mapped, network.prefixlen - 96))
    return network


def parse_address(text: str | None) -> Address | None:
    """Parse the address of a peer, IPv4 if it is mapped into IPv6; return ``None`` for any other text.

    Refused are ``0.0.0.0``, which some servers on a unix socket report as the peer, and an address with a scope such as
    ``::1%lo``, which Python counts as loopback whatever the scope is. Results are not cached, because a filter in front
    of the application can turn a header into the peer's address.
    """
    if text in COMMON_ADDRESSES:
        return COMMON_ADDRESSES[text]
    if not text or len(text) > MAX_ADDRESS_LENGTH or '%' in text:
        return None
    try:
        address = ip_address(text)
    except ValueError:
        return None
    address = getattr(address, 'ipv4_mapped', None) or address
    return None if address.is_unspecified else address


def any_contains(networks: tuple[Network, ...], address: Address | None) -> bool:
    """Return whether an address is in one of the networks."""
    if address is not None:
        # a loop, because the generator for any() would cost each tick more than the comparison
        for network in networks:
            if address in network:
                return True
    return False
