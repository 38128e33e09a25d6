"""Segmenters: the contract, the registry, adapters, and access to a network's layers."""
