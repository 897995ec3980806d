"""One invocation from the configuration to the reports: the only place that wires stages together."""
