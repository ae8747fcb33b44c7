"""What a row is at each point, and the protocols that the rooms meet at. Imports nothing of the project."""
