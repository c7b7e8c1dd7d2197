"""Folders, files, the bytes behind them, and the links that lead to them."""
