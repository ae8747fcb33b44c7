"""How the tiny model is made: its puzzles, its training data, its training."""
