"""The op library and everything that both executors must agree on. Loads NumPy only."""

from oplibrary.messages.source import enter_package

enter_package(__file__)
