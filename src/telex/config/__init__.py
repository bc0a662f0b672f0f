"""The configuration: a telex.toml, or what holds without one."""

from telex.config.document import ConfigError, nearest
from telex.config.load import LOOPBACK, change_server, default_config, load_config, parse_config, read_key
from telex.config.schema import Admin, Config, Model, OnDisconnect, Provider, Retention, Secret, Server, Target, Timeouts, wrong_limit

__all__ = [
    "LOOPBACK",
    "Admin",
    "Config",
    "ConfigError",
    "Model",
    "OnDisconnect",
    "Provider",
    "Retention",
    "Secret",
    "Server",
    "Target",
    "Timeouts",
    "change_server",
    "default_config",
    "load_config",
    "nearest",
    "parse_config",
    "read_key",
    "wrong_limit",
]
