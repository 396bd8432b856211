//! Deterministic simulation of Rejoin replicas, networks and disks.
