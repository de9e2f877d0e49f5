"""Faults: a running Studio is killed, cut and starved, and after each test the invariants are checked. Run by `make faults`."""
