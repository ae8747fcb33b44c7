"""Rules over samples, and the one function that splits kept from dropped."""
