"""Meshes in virtual time: the real planes over a modelled network, from a seed.

`scenario` says what happens, `run` lets it happen, `checkers` say what must hold.
"""
