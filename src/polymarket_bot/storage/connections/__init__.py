"""Connections, from the driver's own to leases, transaction blocks and what runs on them."""
