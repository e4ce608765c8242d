"""The parts of the probe: options, routes, journal."""
