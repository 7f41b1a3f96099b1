"""Channels: how a rendered message leaves by a gateway, and what the gateway tells us afterwards."""
