"""What `config` needs to check a configuration and to name the place of each fault."""
